"""ONNX Runtime sessions: their providers, threads and shapes."""

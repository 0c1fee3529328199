"""ONNX Runtime sessions: what computes, with which threads, in which shapes."""

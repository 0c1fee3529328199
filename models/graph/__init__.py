"""Serving graphs: ONNX written straight from weights, ending in unit vectors."""

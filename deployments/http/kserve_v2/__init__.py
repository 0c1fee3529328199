"""KServe's Open Inference Protocol v2 over REST, with the binary tensors that Triton's client sends by default.

Specification: kserve.github.io, "Open Inference Protocol"; binary data: Triton's "binary tensor data extension".
"""

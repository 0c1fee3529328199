"""Weights out of a finished graph: what PyTorch's exporter wrote names the modules of the model that it came from."""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
import onnx
from onnx import numpy_helper

from models.errors import ArtifactError
from models.graph.linear import Weights

UNNAMED = "onnx::"  # how the exporter calls weights that it turned round; their node has the module's path
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
TYPES = {
    "image": "clip_vision_model",
    "text": "clip_text_model",
}  # the family that a tower of CLIP is built as, in its usual size


def weights_of(model: onnx.ModelProto) -> Weights:
    """The weights by the names of the model's modules, as its state dict has them, float32.

    Raises:
        ArtifactError: the graph names no modules.
    """
    found: Weights = {}
    unnamed: Weights = {}
    for tensor in model.graph.initializer:
        if tensor.data_type in FLOATS:
            kept = unnamed if tensor.name.startswith(UNNAMED) else found
            kept[tensor.name] = numpy_helper.to_array(tensor).astype(np.float32)
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in unnamed:
            module = str(PurePosixPath(node.name.strip("/")).parent).replace("/", ".")
            found[f"{module}.weight"] = unnamed[node.input[1]].T
    if not unnamed or not all("." in name for name in found):
        raise ArtifactError("its graph does not name the modules of a model, as PyTorch's exporter writes them")
    return found

"""Whether this processor's products of 8-bit integers lose what exceeds 16 bits.

Without VNNI, ONNX Runtime multiplies uint8 by int8 with an instruction that adds pairs of products in 16 bits and saturates
(onnxruntime #12088): int8 artifacts would give other and worse vectors there, with a cosine of 0.9966 to those of other
machines. ONNX Runtime then has exact products of uint8 by uint8, slower, for sessions that ask for them.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

EXACT = "session.x64quantprecision"  # the session option that asks for exact products
ROWS, DEPTH, COLUMNS = 4, 64, 16
LARGEST_ROW, LARGEST_WEIGHT = 255, 127


@cache
def saturates() -> bool:
    """Whether a product of the largest integers comes out too small here; asked of ONNX Runtime itself, within 10 ms."""
    weight = numpy_helper.from_array(np.full((DEPTH, COLUMNS), LARGEST_WEIGHT, np.int8), "weight")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["rows", "weight"], ["product"])],
        "largest",
        [helper.make_tensor_value_info("rows", TensorProto.UINT8, [ROWS, DEPTH])],
        [helper.make_tensor_value_info("product", TensorProto.INT32, [ROWS, COLUMNS])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    (product,) = session.run(None, {"rows": np.full((ROWS, DEPTH), LARGEST_ROW, np.uint8)})
    return bool((product != DEPTH * LARGEST_ROW * LARGEST_WEIGHT).any())

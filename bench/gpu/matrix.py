"""The ceiling of a card: how fast it multiplies large matrices, and what a model costs in the same unit."""

from __future__ import annotations

import itertools
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from models.engine.provider_options import Device, with_options
from models.engine.providers import CPU

CHAINED = 8  # products of one run, so that the cost of starting it is small beside them
OPSET = 21
IMAGE_FLOP = 8.8e9  # of one picture, CLIP ViT-B/32 (4.4 G multiply-adds, as its paper's authors and others count)


def text_flop(tokens: int, layers: int = 6, width: int = 384) -> float:
    """Floating-point operations of one text in an encoder like MiniLM-L6.

    Each layer multiplies a token by 12 width² weights (query, key, value, output, and a feed-forward part of four times
    the width), and in attention with every token twice; a multiply-add is two operations.
    """
    return layers * tokens * (24.0 * width**2 + 4.0 * tokens * width)


def matrix_graph(size: int, element: int) -> bytes:
    """``y = x·w·w·…`` with square matrices: a graph of products alone."""
    names = ["x", *(f"p{i}" for i in range(CHAINED - 1)), "y"]
    nodes = [helper.make_node("MatMul", [a, "w"], [b]) for a, b in itertools.pairwise(names)]
    values = [helper.make_tensor_value_info(name, element, [size, size]) for name in ("x", "w", "y")]
    graph = helper.make_graph(nodes, "matrix", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    data: bytes = onnx.ModelProto.SerializeToString(model)
    return data


def ceiling(providers: tuple[str, ...], size: int, seconds: float, threads: int) -> float:
    """Floating-point operations per second of a large product: fp16 on a card, fp32 on a CPU, which has no fp16.

    Args:
        providers: best first; operands stay where the first computes.
        size: rows and columns.
        seconds: how long to measure, after one run that is not counted.
        threads: of a CPU.
    """
    on_cpu = providers[0] == CPU
    dtype, place = (np.float32, "cpu") if on_cpu else (np.float16, "cuda")
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    graph = matrix_graph(size, TensorProto.FLOAT if on_cpu else TensorProto.FLOAT16)
    chain = with_options(providers, Device(), fp16=not on_cpu)
    session = ort.InferenceSession(graph, settings, providers=chain)
    binding = session.io_binding()
    generator = np.random.default_rng(0)
    for name in ("x", "w"):
        value = (generator.standard_normal((size, size), np.float32) / size**0.5).astype(dtype)
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(value, place, 0))
    binding.bind_ortvalue_output("y", ort.OrtValue.ortvalue_from_shape_and_type([size, size], dtype, place, 0))
    session.run_with_iobinding(binding)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        session.run_with_iobinding(binding)
        count += 1
    return count * CHAINED * 2.0 * size**3 / (time.perf_counter() - start)

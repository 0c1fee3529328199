"""Lookup tables of words and positions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from models.graph.builder import GraphBuilder, Value
from models.graph.int8 import quantise_rows
from models.graph.linear import Linear


def embedding_rows(graph: GraphBuilder, name: str, table: NDArray[np.float32], ids: Value, linear: Linear) -> Value:
    """Look up ``ids`` [...] in ``table`` [vocabulary, h], giving [..., h].

    In int8 graphs each row of the table is int8 with its own scale, which takes a quarter of the memory.
    """
    if linear.precision != "int8":
        return graph.op("Gather", [graph.weight(name, table), ids])
    quantised, scale = quantise_rows(table)
    rows = graph.op("Gather", [graph.constant(f"{name}.int8", quantised), ids])
    scales = graph.op("Gather", [graph.constant(f"{name}.scale", scale), ids])
    return graph.op("Mul", [graph.op("Cast", [rows], to=TensorProto.FLOAT), scales])


def leading_rows(graph: GraphBuilder, name: str, table: NDArray[np.float32], ids: Value) -> Value:
    """The first t rows of ``table`` [positions, h] for ``ids`` [n, t]."""
    length = graph.op("Shape", [ids], start=1, end=2)
    return graph.op("Slice", [graph.weight(name, table), graph.ints(0), length, graph.ints(0)])

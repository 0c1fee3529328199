"""Variants of graphs for other hardware. A new one is a function in a file of its own and an entry in ``VARIANTS``."""

from __future__ import annotations

from collections.abc import Callable

import onnx

from models.graph.card import for_cards

# Each rewrites a graph that was built from weights, of any precision; the function that it computes stays.
VARIANTS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {"card": for_cards}

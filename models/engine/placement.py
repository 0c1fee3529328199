"""Which provider computes which operators of a graph: a session that has CUDA may still compute on the CPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import onnxruntime as ort

from models.engine.providers import CPU

RECORD = "session.record_ep_graph_assignment_info"  # the session option without which ONNX Runtime forgets it
PRODUCTS = ("MatMul", "Gemm", "Conv", "Attention")  # what names of operators hold that a card is there for

Placement = Mapping[tuple[str, str], int]  # (provider, operator) → nodes


def placement(session: ort.InferenceSession) -> Placement:
    """How many nodes of which operator each provider computes; needs ``RECORD`` among the session's options."""
    return Counter(
        (part.ep_name, node.op_type)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    )


def off_card(placed: Placement) -> dict[str, int]:
    """The products that the CPU computes; every one of them takes its inputs off the card and its result back."""
    return {operator: count for (provider, operator), count in placed.items() if provider == CPU and _product(operator)}


def mostly_off_card(placed: Placement) -> bool:
    """Whether the CPU computes most of the products, so that a card would only be in the way.

    So it is with our int8 graphs: CUDA has no kernel for ``MatMulIntegerToFloat``, and the Attention between two of them
    it would take.
    """
    total = sum(count for (_, operator), count in placed.items() if _product(operator))
    return 2 * sum(off_card(placed).values()) > total


def _product(operator: str) -> bool:
    return any(part in operator for part in PRODUCTS)

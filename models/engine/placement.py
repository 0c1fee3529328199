"""Which provider computes which operators of a graph: a session with CUDA may still compute most of them on the CPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import onnxruntime as ort

from models.engine.card_trouble import Trouble
from models.engine.providers import CPU

RECORD = "session.record_ep_graph_assignment_info"  # the session option that makes ONNX Runtime record it
PRODUCTS = ("MatMul", "Gemm", "Conv", "Attention")  # parts of the names of operators that are worth a card

Placement = Mapping[tuple[str, str], int]  # (provider, operator) → nodes


def placement(session: ort.InferenceSession) -> Placement:
    """How many nodes of each operator each provider computes; the session needs the option ``RECORD``."""
    return Counter(
        (part.ep_name, node.op_type)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    )


def off_card(placed: Placement) -> dict[str, int]:
    """The products that the CPU computes, by operator; each copies its inputs off the card and its result back."""
    return {operator: count for (provider, operator), count in placed.items() if provider == CPU and _product(operator)}


def trouble_of(placed: Placement) -> Trouble | None:
    """Why a session on a card is not worth having: the CPU would compute products. A single one waits for the card twice.

    This happens to our int8 graphs: CUDA computes Attention but has no kernel for the ``MatMulIntegerToFloat`` around it.
    """
    found = off_card(placed)
    if not found:
        return None
    named = ", ".join(f"{count} {operator}" for operator, count in sorted(found.items()))
    return Trouble("placement", f"the CPU would compute products of this graph: {named}")


def _product(operator: str) -> bool:
    return any(part in operator for part in PRODUCTS)

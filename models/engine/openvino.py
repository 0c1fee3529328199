"""Whether and how OpenVINO computes here: bfloat16, with a processor's own instructions."""

from __future__ import annotations

from collections.abc import Set

from models.engine.numerics import HALVES
from models.engine.processor import processor_flags
from models.errors import ArtifactError


def bf16_refusal(flags: Set[str] | None = None) -> str | None:
    """Why bfloat16 is not computed on a processor; None where it is.

    Args:
        flags: of the processor; None for this one.
    """
    flags = processor_flags() if flags is None else flags
    if any(needed <= flags for _, needed in HALVES):
        return None
    return f"this processor has no instructions for bfloat16 (none of {', '.join(name for name, _ in HALVES)} among its flags)"


def require_bf16(name: str) -> None:
    """Refuse to compute a graph in bfloat16 where no provider does.

    Raises:
        ArtifactError: says what is missing, and where it would start.
    """
    refusal = bf16_refusal()
    if refusal is not None:
        raise ArtifactError(
            f"{name} is computed in bfloat16, and {refusal}. Place it on nodes with Intel Xeons from Sapphire Rapids on (amx_bf16) "
            f"or AMD EPYCs from Genoa on (avx512_bf16), or serve its fp32 or int8 version here"
        )

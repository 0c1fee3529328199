"""How each precision computes its products."""

from __future__ import annotations

from models.errors import ArtifactError
from models.graph.calibration import Calibration
from models.graph.int8 import Int8Linear
from models.graph.linear import Fp16Linear, Fp32Linear, Linear

PRECISIONS = ("fp32", "fp16", "int8")


def linear_of(precision: str, calibration: Calibration | None = None) -> Linear:
    """A fresh ``Linear``; one builds one graph.

    Raises:
        ArtifactError: no such precision.
    """
    if precision == "int8":
        return Int8Linear(calibration)
    if precision in PRECISIONS:
        return Fp16Linear() if precision == "fp16" else Fp32Linear()
    raise ArtifactError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")

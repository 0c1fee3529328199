"""The precisions. A new one is a ``Linear`` in a file of its own and an entry in ``PRECISIONS``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx

from models.errors import ArtifactError
from models.graph.calibration import Calibration
from models.graph.int8 import Int8Linear
from models.graph.linear import Bf16Linear, Fp16Linear, Fp32Linear, Linear
from models.graph.rewrite import mark_bf16, quantise_model


@dataclass(frozen=True)
class Precision:
    """How a precision computes."""

    linear: Callable[[Calibration | None], Linear]  # makes the ``Linear`` that builds one graph
    rewrite: Callable[[onnx.ModelProto], onnx.ModelProto] | None = None  # of finished graphs; None: taken as they are
    by_input: bool = False  # its operators are so short that each thread should compute inputs of its own
    half: bool = False  # weights and activations are float16
    # Computed in bfloat16, for which a processor needs instructions and ONNX Runtime a provider that uses them.
    bf16: bool = False


PRECISIONS: dict[str, Precision] = {
    "fp32": Precision(lambda _: Fp32Linear()),
    "fp16": Precision(lambda _: Fp16Linear(), half=True),
    "bf16": Precision(lambda _: Bf16Linear(), rewrite=mark_bf16, bf16=True),
    "int8": Precision(Int8Linear, rewrite=quantise_model, by_input=True),
}


def precision_of(name: str) -> Precision:
    """The precision of this name.

    Raises:
        ArtifactError: there is none; the message lists those that exist.
    """
    if name not in PRECISIONS:
        raise ArtifactError(f"precision {name!r} is not one of {', '.join(PRECISIONS)}")
    return PRECISIONS[name]

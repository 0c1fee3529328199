"""Which execution providers to ask ONNX Runtime for, and whether it gave what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import onnxruntime as ort

Wish = Literal["auto", "tensorrt", "cuda", "openvino", "cpu"]
WISHES: tuple[Wish, ...] = get_args(Wish)

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
OPENVINO = "OpenVINO"  # no provider of ONNX Runtime: a runtime beside it
PACKAGE = "openvino"  # which brings it
CHAIN = (TENSORRT, CUDA, CPU)  # each computes what those before it cannot
PROVIDERS: dict[Wish, str] = {"tensorrt": TENSORRT, "cuda": CUDA, "openvino": OPENVINO, "cpu": CPU}


def choose(wish: Wish, available: Sequence[str], *, gpus: float | None = None) -> tuple[str, ...]:
    """The providers of a session, best first; the last is always the CPU.

    Args:
        wish: ``auto`` begins with the best available provider, a name with that one; those after it in ``CHAIN`` follow.
            ``openvino`` is another runtime, and never chosen by ``auto`` but for graphs that only it computes.
        available: from ``onnxruntime.get_available_providers()``, which lists what this build of ONNX Runtime supports,
            whether or not there is a driver and a card.
        gpus: how many Ray assigned to this process. At 0, ``auto`` takes the CPU: a card that is visible belongs to
            another replica. None outside of Ray.
    """
    if wish == "openvino":
        return (OPENVINO,)
    start = PROVIDERS[wish] if wish in PROVIDERS else CPU if gpus == 0 else CHAIN[0]
    chain = CHAIN[CHAIN.index(start) :]
    return tuple(name for name in chain if name in available or name == CPU)


def shortfall(wish: Wish, obtained: str, *, gpus: float | None = None) -> str | None:
    """What a session got instead of the provider that was asked for; None if it did get it.

    Args:
        wish: ``auto`` accepts any provider but the CPU's where Ray gave a card.
        obtained: the first of ``session.get_providers()``.
        gpus: how many Ray assigned to this process.
    """
    named = PROVIDERS.get(wish)
    if named is None:
        return f"num_gpus gives this replica a card and {CPU} computes" if gpus and obtained == CPU else None
    if named == obtained:
        return None
    if obtained == OPENVINO:
        return f"provider: {wish} asks for {named}, and bf16 versions are computed by {OPENVINO}"
    return f"provider: {wish} asks for {named} and ONNX Runtime gave {obtained}"


def preload(providers: Sequence[str]) -> None:
    """Load CUDA and cuDNN from their wheels, which are on no search path, before a session needs them."""
    load = getattr(ort, "preload_dlls", None)
    if load is not None and any(name in (CUDA, TENSORRT) for name in providers):
        load()

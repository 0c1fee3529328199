"""What computes a graph: which execution providers to ask for, and whether what was asked for was got."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import onnxruntime as ort

Wish = Literal["auto", "tensorrt", "cuda", "cpu"]
WISHES: tuple[Wish, ...] = get_args(Wish)

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
CHAIN = (TENSORRT, CUDA, CPU)  # each takes what the one before it cannot
PROVIDERS: dict[Wish, str] = {"tensorrt": TENSORRT, "cuda": CUDA, "cpu": CPU}


def choose(wish: Wish, available: Sequence[str], *, gpus: float | None = None) -> tuple[str, ...]:
    """The providers to make a session with, best first; the last is always the CPU's.

    Args:
        wish: ``auto`` takes the best there is; a name begins there and goes on with what is weaker.
        available: as ``onnxruntime.get_available_providers()`` says: what this build of ONNX Runtime knows, which
            promises neither a driver nor a card.
        gpus: of Ray's accounting, given to this process. At 0, ``auto`` takes the CPU: a card that it sees there belongs
            to another replica. None where nobody counts.
    """
    start = PROVIDERS[wish] if wish in PROVIDERS else CPU if gpus == 0 else CHAIN[0]
    chain = CHAIN[CHAIN.index(start) :]
    return tuple(name for name in chain if name in available or name == CPU)


def shortfall(wish: Wish, obtained: str) -> str | None:
    """Why what a session runs on is not what was asked for; None when it is.

    Args:
        wish: ``auto`` is content with anything.
        obtained: the first of ``session.get_providers()``.
    """
    wanted = PROVIDERS.get(wish)
    if wanted is None or wanted == obtained:
        return None
    return (
        f"provider: {wish} asks for {wanted} and ONNX Runtime gave {obtained}; install embedserve[gpu] on a machine "
        f"with a driver that fits, give the replica num_gpus, take an fp16 or fp32 artifact (no card computes the "
        f"products of int8 ones), or set provider: auto"
    )


def preload(providers: Sequence[str]) -> None:
    """Load CUDA and cuDNN out of their wheels before a session needs them; they are on no search path otherwise."""
    load = getattr(ort, "preload_dlls", None)
    if load is not None and any(name in (CUDA, TENSORRT) for name in providers):
        load()

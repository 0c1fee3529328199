"""Why a card does not compute, or less well than it could: a word for programs and a sentence for people."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from models.errors import EngineError

Cause = Literal[
    "not_built",  # this ONNX Runtime has no such provider
    "no_driver",
    "driver_too_old",
    "no_card",  # the driver shows this process none
    "card_too_old",  # for the kernels of the wheels
    "card_failed",  # it or its driver gave up
    "library",  # one of CUDA, cuDNN or TensorRT does not load
    "out_of_memory",
    "other_runtime",  # only one beside ONNX Runtime computes the graph
    "placement",  # products of the graph would be computed on the CPU
    "nvidia_smi",  # nothing bounds the memory that is taken
    "not_pinned",  # copies to the card are slower
    "unknown",
]
CAUSES: Final[tuple[Cause, ...]] = get_args(Cause)
DRIVER = "NVIDIA driver 580 or newer, which CUDA 13 needs"
# How ONNX Runtime, CUDA, cuBLAS and cuDNN spell each of them, in the order in which they are looked for.
PATTERNS: Final[dict[Cause, str]] = {
    "out_of_memory": r"out of memory|failed to allocate memory|available memory of \d+ is smaller|CUDA failure 2\b|_ALLOC_FAILED|OutOfMemory",
    "driver_too_old": r"insufficient for CUDA runtime|CUDA failure (35|34|36)\b|forward compatib",
    "no_card": r"no CUDA-capable device|CUDA failure 100\b|invalid device ordinal",
    "card_too_old": r"no kernel image|CUDA failure 209\b|unsupported.{0,20}(PTX|architecture)|ARCH_MISMATCH",
    "card_failed": r"CUDA failure (46|77|79|214|700|709|710|719|999)\b|launch failure|illegal (memory|instruction)|devices? unavailable|ECC",
    "library": r"cannot open shared object|failed to load library|undefined symbol|lib(cu|nv)\w+\.so",
}
SPELLINGS: Final = {cause: re.compile(pattern, re.IGNORECASE) for cause, pattern in PATTERNS.items()}
ADVICE: Final[dict[Cause, str]] = {
    "not_built": "install embedserve[gpu] in place of embedserve[cpu]",
    "no_driver": f"install {DRIVER}, on the node, or name NVIDIA's runtime in the pod (runtimeClassName)",
    "driver_too_old": f"install {DRIVER}, on the node",
    "no_card": "give the replica num_gpus; `nvidia-smi` on the node must list the card",
    "card_too_old": "CUDA 13 computes on Turing (compute capability 7.5) and newer",
    "card_failed": "look for Xid in the node's kernel log, and drain the node",
    "library": "embedserve[gpu] brings CUDA and cuDNN; TensorRT's own libraries are installed apart",
    "out_of_memory": "raise num_gpus, lower batch_cost, or look who else is on the card",
    "other_runtime": "set provider: openvino or auto",
    "placement": "no card computes the products of int8: take an fp16 or fp32 artifact",
    "nvidia_smi": "nothing bounds what this replica takes of the card's memory",
    "not_pinned": "copies to the card are slower; raise what the container may lock (memlock)",
    "unknown": "ONNX Runtime's lines on the replica's standard error say more",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One cause, with what is wrong and what would be right."""

    cause: Cause
    what: str

    def __str__(self) -> str:
        """For people."""
        return f"{self.what}; {ADVICE[self.cause]}"


class CardError(EngineError):
    """A card failed at this very work."""

    def __init__(self, trouble: Trouble) -> None:
        """Keep why."""
        super().__init__(str(trouble))
        self.trouble = trouble


def read(error: object, doing: str) -> Trouble:
    """What an error of ONNX Runtime is about.

    Args:
        error: the exception, or its message.
        doing: what was tried, such as ``CUDAExecutionProvider does not load``.
    """
    text = str(error)
    cause: Cause = next((cause for cause, spelling in SPELLINGS.items() if spelling.search(text)), "unknown")
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    told = next((line for line in lines if cause != "unknown" and SPELLINGS[cause].search(line)), lines[0])
    return Trouble(cause, f"{doing}: {told[:160]}")

"""Finds the cards of a node."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

MIB = 1 << 20
FIELDS = "memory.total,compute_cap,name"


@dataclass(frozen=True)
class GpuDevice:
    """A card's properties."""

    name: str
    compute: str  # compute capability, such as 9.0
    memory: int  # bytes

    @property
    def identity(self) -> str:
        """Name and compute capability: TensorRT's engines work on cards that have both in common."""
        return f"{self.name} sm{self.compute}"


def find() -> GpuDevice | None:
    """The card of this node with the least memory; None if no driver answers.

    ``nvidia-smi``, which comes with the driver, lists every card of the node, even those that CUDA_VISIBLE_DEVICES hides.
    A replica may get any of them, so it can count only on the memory of the smallest.
    """
    command = ["nvidia-smi", f"--query-gpu={FIELDS}", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return parse(output)


def parse(output: str) -> GpuDevice | None:
    """The card with the least memory among lines of ``MiB, capability, name``; None if no line describes a card."""
    cards = []
    for line in output.splitlines():
        memory, _, rest = line.partition(",")
        compute, _, name = rest.partition(",")
        if memory.strip().isdigit() and name.strip():
            cards.append(GpuDevice(name.strip(), compute.strip(), int(memory) * MIB))
    return min(cards, key=lambda card: card.memory, default=None)

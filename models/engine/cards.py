"""The card that a process computes on."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

MIB = 1 << 20
FIELDS = "memory.total,compute_cap,name"


@dataclass(frozen=True)
class GpuDevice:
    """What is known of a card."""

    name: str
    compute: str  # capability, such as 9.0
    memory: int  # bytes

    @property
    def identity(self) -> str:
        """What a built engine is good for."""
        return f"{self.name} sm{self.compute}"


def find() -> GpuDevice | None:
    """The smallest card of this node, or None where no driver answers.

    Source: ``nvidia-smi``, which comes with the driver. It lists every card of the node, also those that
    CUDA_VISIBLE_DEVICES hides; the smallest is what each replica can count on.
    """
    command = ["nvidia-smi", f"--query-gpu={FIELDS}", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return parse(output)


def parse(output: str) -> GpuDevice | None:
    """The smallest card in ``nvidia-smi``'s lines of memory in MiB, capability and name; None where none is one."""
    cards = []
    for line in output.splitlines():
        memory, _, rest = line.partition(",")
        compute, _, name = rest.partition(",")
        if memory.strip().isdigit() and name.strip():
            cards.append(GpuDevice(name.strip(), compute.strip(), int(memory) * MIB))
    return min(cards, key=lambda card: card.memory, default=None)

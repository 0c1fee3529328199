"""Finds the cards of a node."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from models.engine.card_memory import MIB
from models.engine.card_trouble import Trouble

FIELDS = "memory.total,compute_cap,name"
PROGRAM = "nvidia-smi"
GOOGLES = "/usr/local/nvidia/bin"  # where Google's nodes mount it, which is on no search path
WAIT_S = 10.0  # a card that hangs keeps it from answering


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
    """The card of this node with the least memory; None if no driver answers."""
    return look()[0]


def look() -> tuple[GpuDevice | None, Trouble | None]:
    """The card of this node with the least memory, or why nothing is known of it.

    ``nvidia-smi``, which comes with the driver, lists every card of the node, even those that CUDA_VISIBLE_DEVICES hides.
    A replica may get any of them, so it can count only on the memory of the smallest.
    """
    program = shutil.which(PROGRAM, path=f"{os.environ.get('PATH', '')}{os.pathsep}{GOOGLES}")
    if program is None:
        return None, Trouble("nvidia_smi", f"{PROGRAM} is not here, neither in PATH nor in {GOOGLES}")
    command = [program, f"--query-gpu={FIELDS}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    except subprocess.TimeoutExpired:
        return None, Trouble("nvidia_smi", f"{PROGRAM} did not answer within {WAIT_S:g} s")
    except OSError as error:
        return None, Trouble("nvidia_smi", f"{PROGRAM} does not start: {error.strerror}")
    card = parse(done.stdout) if done.returncode == 0 else None
    if card is not None:
        return card, None
    said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[0]
    return None, Trouble("nvidia_smi", f"{PROGRAM} tells of no card: {said:.120}")


def parse(output: str) -> GpuDevice | None:
    """The card with the least memory among lines of ``MiB, capability, name``; None if no line describes a card."""
    cards = []
    for line in output.splitlines():
        memory, _, rest = line.partition(",")
        compute, _, name = rest.partition(",")
        if memory.strip().isdigit() and name.strip():
            cards.append(GpuDevice(name.strip(), compute.strip(), int(memory) * MIB))
    return min(cards, key=lambda card: card.memory, default=None)

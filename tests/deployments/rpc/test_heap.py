"""What a process frees it uses again, in a process of its own, which has seen no large block before."""

from __future__ import annotations

import subprocess
import sys

import pytest

ROUNDS = """
import resource
from deployments.rpc import heap
{keep}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def bodies():
    kept = [b"x" * (2 << 20) for _ in range(8)]
for _ in range(3):
    bodies()
before = faults()
for _ in range(10):
    bodies()
print(faults() - before)
"""


def faults(keep: str) -> int:
    """Pages that the system made for ten rounds of eight bodies of 2 MiB, 512 pages each."""
    script = ROUNDS.format(keep=keep)
    return int(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="it is glibc's way")
def test_bodies_take_the_memory_of_those_before_them() -> None:
    assert faults("") > 10 * 8 * 512 / 4
    assert faults("heap.keep()") < 10 * 8 * 512 / 20

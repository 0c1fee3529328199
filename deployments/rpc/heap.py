"""How much freed memory a process keeps for the next long body."""

from __future__ import annotations

from typing import Final

# glibc gives back what lies free above twice the largest block that it ever gave back as a whole, at most 32 MiB, and the system
# makes memory anew, a page at a time, for each long body: a tenth of a gateway's time for pictures in forms, a quarter of a decoder's loop.
LARGEST: Final = 31 << 20


def keep() -> None:
    """Keep 62 MiB, as after the first body of 31 MiB. Nothing is written to that block, so that it takes no memory."""
    bytes(LARGEST)

"""Memory of an encoder that its decoders write pixels into, as calls name it."""

from __future__ import annotations

import mmap
from typing import NamedTuple

LEASE_BYTES = 8
PAGE = mmap.PAGESIZE


class Segment(NamedTuple):
    """Where an encoder's slots are; a decoder is told with each call."""

    pid: int
    fd: int
    name: str
    slots: int
    slot_bytes: int

    @property
    def first(self) -> int:
        """Where the first slot begins, behind the leases."""
        return -(-self.slots * LEASE_BYTES // PAGE) * PAGE

    @property
    def step(self) -> int:
        """From one slot to the next: whole pages, so that two writers share none."""
        return -(-self.slot_bytes // PAGE) * PAGE

    @property
    def size(self) -> int:
        """Of everything, in bytes."""
        return self.first + self.slots * self.step

    @property
    def path(self) -> str:
        """Where the processes of the same user find it."""
        return f"/proc/{self.pid}/fd/{self.fd}"

    @property
    def link(self) -> str:
        """What that path is a link to, if it is this segment."""
        return f"/memfd:{self.name} (deleted)"


class Place(NamedTuple):
    """A slot that a decoder may write into."""

    slot: int
    lease: int


class Offer(NamedTuple):
    """Where pixels may be written instead of being sent."""

    segment: Segment
    places: list[Place]  # of the first pictures of a call, one each

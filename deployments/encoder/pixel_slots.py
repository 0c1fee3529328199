"""Memory that an encoder shares with the decoders on its node: they write pixels into slots of it, and only numbers travel.

The memory is a memfd. It has no name in any file system and is nobody's leftover: the system frees it with the last process
that maps it, however that one ends. Who opens it needs the encoder's own user and its process id, so that a decoder on another
node, or in another container, finds nothing and sends pixels as before.

Each slot has a lease, a number that grows. A decoder locks a slot while it copies into it (`slot_writer.py`), and copies only
while the lease is still the one that it was given. So the encoder may give a slot away whose decoder does not answer: whoever
comes late finds another lease, and whoever is copying at that moment holds the lock, until it ends or dies.
"""

from __future__ import annotations

import ctypes
import fcntl
import math
import mmap
import os
import secrets
import weakref
from collections import deque
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from deployments.contract.pixel_places import LEASE_BYTES, Place, Segment

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL  # who cut it short would kill the encoder

Pixels = NDArray[np.uint8]


class PixelSlots:
    """Hands slots out, and takes each back when nobody uses its pixels any more."""

    def __init__(self, slots: int, slot_bytes: int) -> None:
        """Make free slots, at least one; their memory is taken as they are written to.

        Raises:
            OSError: the system has no such memory.
        """
        name = f"embedserve-pixels-{secrets.token_hex(16)}"
        fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        weakref.finalize(self, os.close, fd)
        self.segment = Segment(os.getpid(), fd, name, slots, slot_bytes)
        os.fchmod(fd, 0o600)
        os.ftruncate(fd, self.segment.size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
        self._map = mmap.mmap(fd, self.segment.size)
        self._leases = leases_of(self._map, slots)
        self._slot_type = ctypes.c_char * slot_bytes
        self._free = deque(range(slots))  # whichever thread lets go of pixels adds to it
        self._used: list[_Used | None] = [None] * slots

    @property
    def free(self) -> int:
        """How many can be taken."""
        return len(self._free)

    def take(self, most: int) -> list[Place]:
        """Places for up to so many pictures; fewer where fewer are free."""
        places = []
        for _ in range(min(most, len(self._free))):
            slot = self._free.popleft()
            lease = self._leases[slot] = self._leases[slot] + 1
            places.append(Place(slot, lease))
        return places

    def pixels(self, place: Place, shape: tuple[int, ...]) -> Pixels:
        """What a decoder wrote; the slot is free again when this array and all views of it are gone."""
        memory: Any = self._slot_type.from_buffer(self._map, self.segment.first + place.slot * self.segment.step)
        self._used[place.slot] = _Used(memory, self._free, place.slot)
        flat: Pixels = np.frombuffer(memory, np.uint8, math.prod(shape))
        return flat.reshape(shape)

    def give_back(self, places: Iterable[Place]) -> None:
        """Places that hold no pixels, whatever became of the decoder that was given them."""
        self._free.extend(place.slot for place in places)


class _Used(weakref.ref[Any]):
    """Frees a slot when its memory is gone from everybody's sight; ``weakref.finalize`` takes 2 µs more for it."""

    __slots__ = ("free", "slot")
    free: deque[int]
    slot: int

    def __new__(cls, memory: Any, free: deque[int], slot: int) -> Self:
        made = super().__new__(cls, memory, _freed)
        made.free, made.slot = free, slot
        return made

    def __init__(self, *_: Any) -> None:
        """Nothing is left to do."""


def _freed(used: Any) -> None:
    used.free.append(used.slot)


def leases_of(memory: mmap.mmap, slots: int) -> memoryview:
    """The lease of each slot, as numbers in the memory itself."""
    return memoryview(memory)[: slots * LEASE_BYTES].cast("Q")

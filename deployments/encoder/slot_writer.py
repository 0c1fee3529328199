"""The decoder's end of memory that encoders on its node share with it."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
import weakref

import numpy as np

from deployments.contract.pixel_places import Place, Segment
from deployments.encoder.pixel_slots import Pixels, leases_of

FLOCK = struct.Struct("hhqqi4x")  # C's struct flock
MAPPED = 16  # segments that are kept: of the encoder's replicas, and of those before a swap


class SlotWriter:
    """Copies pixels into slots, from any thread; never two at once into the same."""

    def __init__(self) -> None:
        """Know no segment."""
        self._guard = threading.Lock()
        self._known: dict[Segment, _Mapped | None] = {}  # None: it cannot be reached from here

    def __len__(self) -> int:
        """Segments whose memory is held."""
        return sum(mapped is not None for mapped in self._known.values())

    def write(self, segment: Segment, place: Place, pixels: Pixels) -> bool:
        """Copy pixels into a slot.

        Returns:
            Whether they are there. They are not where the segment cannot be reached from here, the slot is somebody else's by
            now, or it is too small.
        """
        mapped = self._mapped(segment)
        if mapped is None or pixels.nbytes > segment.slot_bytes or not 0 <= place.slot < segment.slots:
            return False
        if not mapped.lock(place.slot):
            return False
        try:
            if mapped.leases[place.slot] != place.lease:
                return False
            at = segment.first + place.slot * segment.step
            np.frombuffer(mapped.map, np.uint8, pixels.nbytes, at)[:] = pixels.reshape(-1)
        finally:
            mapped.unlock(place.slot)
        return True

    def forget_gone(self) -> None:
        """Let go of the memory of encoders that have ended."""
        with self._guard:
            self._known = {
                segment: mapped for segment, mapped in self._known.items() if leads_to(segment.path, segment)
            }

    def _mapped(self, segment: Segment) -> _Mapped | None:
        with self._guard:
            if segment not in self._known:
                while len(self._known) >= MAPPED:
                    del self._known[next(iter(self._known))]
                self._known[segment] = _Mapped.of(segment)
            return self._known[segment]


class _Mapped:
    """A segment in this process; whoever copies holds it, so that it goes with the last of them."""

    def __init__(self, fd: int, segment: Segment) -> None:
        weakref.finalize(self, os.close, fd)
        self._fd = fd
        self._guard = threading.Lock()
        self._locked: set[int] = (
            set()
        )  # slots; the system's locks are this process's, and do not keep its threads apart
        self.map = mmap.mmap(fd, segment.size)
        self.leases = leases_of(self.map, segment.slots)

    @classmethod
    def of(cls, segment: Segment) -> _Mapped | None:
        """Map a segment; None where it cannot be reached from here."""
        try:
            if not leads_to(segment.path, segment):
                return None
            fd = os.open(segment.path, os.O_RDWR | os.O_CLOEXEC)
            mapped = cls(fd, segment)
            mine = os.fstat(fd).st_uid == os.geteuid() and leads_to(f"/proc/self/fd/{fd}", segment)
        except (OSError, ValueError):  # ValueError: it is shorter than it says
            return None
        return mapped if mine else None

    def lock(self, slot: int) -> bool:
        """Keep every other writer out of a slot until ``unlock`` or the end of this process; False where one is in it."""
        with self._guard:
            if slot in self._locked:
                return False
            try:
                self._set(fcntl.F_WRLCK, slot)
            except BlockingIOError:
                return False
            self._locked.add(slot)
        return True

    def unlock(self, slot: int) -> None:
        """Let others in."""
        with self._guard:
            self._set(fcntl.F_UNLCK, slot)
            self._locked.discard(slot)

    def _set(self, what: int, slot: int) -> None:
        fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, FLOCK.pack(what, os.SEEK_SET, slot, 1, 0))


def leads_to(path: str, segment: Segment) -> bool:
    """Whether a path of ``/proc`` is a link to a segment."""
    try:
        return os.readlink(path) == segment.link
    except OSError:
        return False

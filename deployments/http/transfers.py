"""What passes between a gateway and its clients: how many bytes of it are held at once, and who is too slow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from deployments.config.limits import Limits
from deployments.http.drips import Drips
from models.errors import UnavailableError

if TYPE_CHECKING:
    from deployments.http.transfer import Transfer

LOOK_S = 0.1  # between two looks at one that is not done, and as much again for each thousand
THOUSAND = 1000
PART = 128  # are looked at in one go, which takes 0.2 ms: 2,560 took 4.5 ms, for which everybody waited
LISTS = 4  # of the largest find room together, however little there is
AT_ONCE = 8  # are cut off in one go: each takes 0.2 ms, for which others wait
SMALL = 65536  # bytes for which nobody is cut off, and which are not worth counting when they come at once


class Transfers:
    """The requests that a gateway reads and the answers that it writes.

    Where memory runs short, those who send or read slowest lose theirs first, before anybody is refused.
    """

    def __init__(self, limits: Callable[[], Limits], cut: Callable[[str], None]) -> None:
        """Start with none.

        Args:
            limits: gives those in force.
            cut: is told why somebody was cut off.
        """
        self.bytes = 0
        self.drips = Drips()
        self._limits = limits
        self._cut = cut
        self._moving: dict[Transfer, None] = {}
        self._round: Iterator[Transfer] = iter(())  # those that are still to be looked at before all are again
        self._timer: asyncio.TimerHandle | None = None
        self._slowest: deque[Transfer] = deque()  # in the order that they had a moment ago
        self._sorted_at = 0.0

    def watch(self, transfer: Transfer) -> None:
        """Cut a transfer off when it is too slow, until ``leave``."""
        self._moving[transfer] = None
        if self._timer is None:
            self._look_later(asyncio.get_running_loop())

    def leave(self, transfer: Transfer) -> None:
        """Watch it no longer."""
        self._moving.pop(transfer, None)
        self.drips.discard(transfer)

    def hold(self, transfer: Transfer, size: int, pace: float) -> None:
        """Count bytes that a transfer holds from now on.

        Args:
            transfer: the one that asks.
            size: how many.
            pace: bytes per second; whoever is slower is cut off for them, where that is needed.

        Raises:
            UnavailableError: there is no room for them, not even without those who are slower.
        """
        limits = self._limits()
        if self._room(limits) < size:
            self._make_room(size - self._room(limits), pace)
            if (room := self._room(limits)) < size:
                self._cut("memory")
                raise UnavailableError(f"the service is at capacity: {size} bytes more than the {room} it has room for")
        self.bytes += size
        transfer.held += size

    def release(self, transfer: Transfer) -> None:
        """Count the bytes of a transfer no longer."""
        self.bytes -= transfer.held
        transfer.held = 0

    def _room(self, limits: Limits) -> int:
        return limits.bytes_in_flight - self.bytes

    def at_most(self, size: int) -> int:
        """What is counted for a list, so that some find room where the limit is low."""
        return min(size, self._limits().bytes_in_flight // LISTS)

    def _make_room(self, missing: int, pace: float) -> None:
        now = asyncio.get_running_loop().time()
        while missing > 0 and (one := self._next_slowest(now)) is not None and one.movement.pace(now) < pace:
            self._slowest.popleft()
            missing -= one.held
            self._stop(one, UnavailableError("the service is at capacity, and this request came slowest"), "memory")

    def _next_slowest(self, now: float) -> Transfer | None:
        """The slowest of those that hold much. Sorting thousands takes 3 ms, so that one order serves for a while."""
        if now - self._sorted_at > self._round_s():
            self._slowest.clear()
        while self._slowest and (self._slowest[0] not in self._moving or self._slowest[0].held < SMALL):
            self._slowest.popleft()
        if not self._slowest:
            self._sorted_at = now
            self._slowest.extend(
                sorted((one for one in self._moving if one.held >= SMALL), key=lambda one: one.movement.pace(now))
            )
        return self._slowest[0] if self._slowest else None

    def _round_s(self) -> float:
        """Seconds in which each has been looked at once."""
        return LOOK_S * (1 + len(self._moving) / THOUSAND)

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        parts = max(1.0, len(self._moving) / PART)
        self._timer = loop.call_later(self._round_s() / parts, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at some, whose turn it is, and cut off who is too slow."""
        limits, now = self._limits(), loop.time()
        part = list(islice(self._round, PART))
        if len(part) < PART:  # all have had their look
            self._round = iter(list(self._moving))
            part.extend(islice(self._round, PART - len(part)))
        cut = 0
        for transfer in part:
            if transfer in self._moving:
                transfer.look(now)
                if (
                    cut < AT_ONCE
                    and (error := transfer.movement.too_slow(now, limits, whole=transfer.whole)) is not None
                ):
                    self._stop(transfer, error, "slow")
                    cut += 1
        self._timer = None
        if self._moving:
            self._look_later(loop)

    def _stop(self, transfer: Transfer, error: Exception, why: str) -> None:
        self._cut(why)
        self.leave(transfer)
        self.release(transfer)
        transfer.stop(error)

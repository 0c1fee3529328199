"""Bodies that come in drips are read in turns, a few of them every few milliseconds.

Thousands, each read as its bytes came, kept others waiting for 80 ms whenever many of them sent at once.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployments.http.transfer import Transfer

ROUND_S = 0.005
EACH = 8  # in a round: half a millisecond of the event loop; 2,560 have all had their turn in 1.6 s
DRIP = 4096  # bytes: whoever sends less at a time
AFTER_S = 1.0  # and has taken that long; above any floor, more has come by its next turn


class Drips:
    """The transfers that are not read until it is their turn. What they send meanwhile is kept by the system."""

    def __init__(self) -> None:
        """Start with none."""
        self._waiting: dict[Transfer, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, transfer: Transfer) -> None:
        """Tell a transfer to ``read_on`` when it is its turn."""
        self._waiting.setdefault(transfer)
        if self._timer is None:
            self._begin(asyncio.get_running_loop())

    def discard(self, transfer: Transfer) -> None:
        """Forget a transfer."""
        self._waiting.pop(transfer, None)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(ROUND_S, self._round, loop)

    def _round(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        for transfer in list(islice(self._waiting, EACH)):
            del self._waiting[transfer]
            transfer.read_on()
        if self._waiting:
            self._begin(loop)

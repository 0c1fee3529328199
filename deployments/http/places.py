"""How many requests a gateway works on at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from deployments.http.crowd import Crowd
from deployments.serve_internals.haproxy_rules import OPEN_PLACES, REFUSING
from models.errors import UnavailableError

# On answers while fewer than all places are given: how many. HAProxy heeds it, and takes it out (`haproxy_rules`).
TOLD: Final = OPEN_PLACES.encode()
REFUSED: Final = REFUSING.encode()
BUSY = 64  # open requests below which nobody is refused for being too many
PASSING = 0.25  # of the allowed number: requests that HAProxy let in before it heard of it
UNREAD = "embedserve.unread"  # in the scope of a request of which more may come when it is answered


class Places:
    """One for each request that has arrived whole, until its answer is made."""

    def __init__(self, limit: Callable[[], int], wait_s: Callable[[], float | None] = lambda: None) -> None:
        """Start with all of them free.

        Args:
            limit: gives their number right now.
            wait_s: gives the seconds that a request may take while they are nearly all taken; fewer are given then.
        """
        self._limit, self._wait_s = limit, wait_s
        self._crowd = Crowd()
        self._taken = 0
        self._long = 0

    def require(self) -> None:
        """See whether one is free.

        Raises:
            UnavailableError: none is.
        """
        limit = self._limit()
        if (few := self._crowd.limit) is not None and self._taken >= few * (1 + PASSING):
            few = self._crowd.now_allowed(limit, self._wait_s())
            limit = limit if few is None else min(limit, math.floor(few * (1 + PASSING)))
        if self._taken >= limit:
            raise UnavailableError(f"the service is at capacity: {self._taken} requests are open (limit {limit})")

    def take(self) -> int:
        """Take one; returns what ``leave`` must be told.

        Raises:
            UnavailableError: none is free.
        """
        self.require()
        self._taken += 1
        return self._crowd.enter(self._taken, self._limit(), self._wait_s())

    def leave(self, ticket: int) -> None:
        """Give one back."""
        self._taken -= 1
        self._crowd.leave(ticket)

    def heed(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """See in a request's headers whether HAProxy refuses others already, which it does before all places are taken here."""
        if self._taken < BUSY or self._crowd.limit is not None or self._wait_s() is None:
            return
        if any(name == REFUSED for name, _ in headers):
            self._crowd.begin(self._limit())

    @property
    def told(self) -> tuple[bytes, bytes] | None:
        """What an answer tells HAProxy; nothing while all places are given."""
        few = self._crowd.limit
        return None if few is None else (TOLD, b"%d" % few)

    def take_for_long(self) -> None:
        """Note that a taken one is held by a long list, which works in turns with others while short requests come and go.

        Raises:
            UnavailableError: half of all places are held so already; the rest is for short requests.
        """
        if self._long >= (most := max(1, self._limit() // 2)):
            raise UnavailableError(f"the service is at capacity: {self._long} long lists are open (limit {most})")
        self._long += 1

    def leave_by_long(self) -> None:
        """The long list of a place is done."""
        self._long -= 1

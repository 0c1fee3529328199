"""How many requests a gateway works on at once."""

from __future__ import annotations

from collections.abc import Callable

from models.errors import UnavailableError

UNREAD = "embedserve.unread"  # in the scope of a request of which more may come when it is answered


class Places:
    """One for each request that has arrived whole, until its answer is made."""

    def __init__(self, limit: Callable[[], int]) -> None:
        """Start with all of them free; ``limit`` gives their number right now."""
        self._limit = limit
        self._taken = 0
        self._long = 0

    def require(self) -> None:
        """See whether one is free.

        Raises:
            UnavailableError: none is.
        """
        if self._taken >= (limit := self._limit()):
            raise UnavailableError(f"the service is at capacity: {self._taken} requests are open (limit {limit})")

    def take(self) -> None:
        """Take one.

        Raises:
            UnavailableError: none is free.
        """
        self.require()
        self._taken += 1

    def leave(self) -> None:
        """Give one back."""
        self._taken -= 1

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

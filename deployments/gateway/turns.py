"""Long lists share the event loop: a slice of one of them in each of its rounds, between which short requests pass."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Final

# Items that are worked on at once, 0.3 ms of the event loop; a list of 2,048 in one go keeps everybody else waiting for 20 ms,
# and a hundred of them did for so long that HAProxy took the gateway for dead.
SLICE: Final = 32


def portions(costs: Iterable[int], most: int) -> Iterator[slice]:
    """Slices of a list that each cost no more than ``most`` and have no more than ``SLICE`` items, but one at least.

    Args:
        costs: of each item.
        most: in the same unit.
    """
    start = end = cost = 0
    for end, more in enumerate(costs):
        if end > start and (end - start == SLICE or cost + more > most):
            yield slice(start, end)
            start, cost = end, 0
        cost += more
    yield slice(start, end + 1)


class Turns:
    """Whose slice is next: lists take turns, in the order in which they asked."""

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._due = False

    async def slices(self, count: int) -> AsyncIterator[slice]:
        """The slices of a list of ``count`` items, each when it is its turn."""
        for start in range(0, count, SLICE):
            await self.turn()
            yield slice(start, start + SLICE)

    async def turn(self) -> None:
        """Wait until it is the caller's turn."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._arrange()
        await turn

    def _arrange(self) -> None:
        if self._waiting and not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._due = False
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # those that are done were cancelled
                turn.set_result(None)
                break
        self._arrange()

"""How many requests may be open while more arrive than are answered.

Little's law: open requests are the rate of answers times the time that each takes. A fixed number of places bounds that time
well for one rate only: 256 texts wait for 0.17 s where 1,500 a second are answered, and for 0.5 s where it is 500. So while a
gateway is full, the number follows from the rate that it measures and the wait that is allowed.

Requests that have been open for long (pictures, long lists, versions without a replica) hold nobody up who has just arrived, and
do not become faster by being fewer. They do not count; the fixed number bounds them.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

TICK_S = 0.25  # between two looks at the rate
FIRST_S = 0.1  # until the first look after it began
LONG_TICKS = 2  # after so many a request counts as open for long
REMEMBERED = (
    40  # ticks whose best rate counts: with few open requests batches are small, and the rate would fall with them
)
# That any rate is let in with. A client alone gets three quarters of it: of 24 requests the calls are so small that 2 cores answer
# 464 texts a second in bf16 at four times their load; of 36 it is 515, and of 32 clients that wait for their answers 700.
LEAST = 48
CALM = 0.5  # of the allowed number: while fewer are open most of the time, nobody has to be kept out


def allowed(rate: float, wait_s: float, long: int, most: int) -> int:
    """How many requests may be open.

    Args:
        rate: answers a second.
        wait_s: how long a request may take from its arrival on.
        long: requests that are open for long already.
        most: places that there are.
    """
    return min(most, long + max(LEAST, math.ceil(rate * wait_s)))


class Crowd:
    """The open requests of one gateway, and whether there are too many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """See nobody yet; ``clock`` tells seconds."""
        self._clock = clock
        self._tick = 0
        self._ticked_at = clock()
        self._due = self._ticked_at + TICK_S  # the next look
        # Open requests by the tick in which they came, newest last.
        self._since: deque[int] = deque([0] * LONG_TICKS, LONG_TICKS)
        self._long = 0  # those that came before
        self._answered = 0  # in this tick
        self._open = 0  # when the last request came
        self._open_since = self._ticked_at
        self._open_seconds = 0.0  # open requests by how long there were so many, in this tick
        self._rates: deque[float] = deque(maxlen=REMEMBERED)
        self._begun = False  # in this tick
        self.limit: int | None = None  # that is in force while there are too many

    def enter(self, open_now: int, most: int, wait_s: float | None) -> int:
        """Note a request that has taken a place; returns what ``leave`` must be told.

        Args:
            open_now: requests, with this one.
            most: places that there are.
            wait_s: how long a request may take while the gateway is full; None: however long.
        """
        now = self._clock()
        if now >= self._due:
            self._look(now, most, wait_s)
        if open_now >= most and wait_s is not None and self.limit is None:
            self.begin(most)
        self._open_seconds += self._open * (now - self._open_since)
        self._open, self._open_since = open_now, now
        self._since[-1] += 1
        return self._tick

    def now_allowed(self, most: int, wait_s: float | None) -> int | None:
        """How many may be open, for whoever would be refused for it; None: as many as there are places."""
        now = self._clock()
        if now >= self._due:  # nobody entered, and so nobody looked
            self._look(now, most, wait_s)
        return self.limit

    def leave(self, tick: int) -> None:
        """Note that a request's answer is made."""
        self._answered += 1
        age = self._tick - tick
        if age < LONG_TICKS:
            self._since[-1 - age] -= 1
        else:
            self._long -= 1

    def begin(self, most: int) -> None:
        """Note that all places are taken: the rate from here on is what the service can do, and then gives the limit."""
        self._rates.clear()
        self._begun = True
        self._pass_ticks(LONG_TICKS)  # who is open now was let in before
        self._answered, self._ticked_at = 0, self._clock()
        self._due = self._ticked_at + FIRST_S
        self.limit = most

    def _look(self, now: float, most: int, wait_s: float | None) -> None:
        passed = now - self._ticked_at
        self._pass_ticks(min(math.floor(passed / TICK_S), LONG_TICKS))
        self._rates.append(self._answered / passed)
        was, self.limit = self.limit, None
        # Not the most that were open: bursts take all places at eight tenths of the load that can be borne. And at first
        # many of those that HAProxy let in are not read yet, so that few seem to be open.
        usual = (self._open_seconds + self._open * (now - self._open_since)) / passed
        crowded = was is not None and (self._begun or usual >= CALM * min(was, most))
        self._begun = False
        if crowded and wait_s is not None:
            self.limit = allowed(max(self._rates), wait_s, self._long, most)
        self._answered, self._open_seconds, self._open_since, self._ticked_at = 0, 0.0, now, now
        self._due = now + TICK_S

    def _pass_ticks(self, ticks: int) -> None:
        for _ in range(ticks):
            self._long += self._since[0]
            self._since.append(0)
        self._tick += ticks

"""How much work a replica knows of, in seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from deployments.contract.call import Queued

NEWS_S = 5.0  # a gateway with a queue calls all the time: after so long without a call its queue is empty
KEPT = 0.5  # weight of the seconds per cost known so far, when an interval brings new ones


class Workload:
    """The calls that a replica holds and the queues of gateways behind them, in seconds of this replica's work.

    Gateways say what calls cost, in tokens or images. How many seconds a unit of cost takes, the replica measures.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without work; ``clock`` tells seconds."""
        self._clock = clock
        self._held = 0  # cost of calls that are not answered yet
        self._done = 0  # cost answered since the last report
        self._refused = 0  # cost that gateways refused since the last report
        self._spent_s = 0.0  # busy seconds since the last report with an answered call
        self._queues: dict[str, tuple[float, int]] = {}  # gateway: when it called last, and the cost that waited there
        self._seconds_per_cost = 0.0
        self._reported_at = clock()

    def begin(self, queued: Queued) -> None:
        """Note a call that has come in, and what its gateway says of the queue there."""
        self._held += queued.cost
        self._refused += queued.refused
        self._queues[queued.gateway] = (self._clock(), queued.waiting)

    def end(self, queued: Queued) -> None:
        """Note that a call has left, answered or not."""
        self._held -= queued.cost
        self._done += queued.cost

    def report(self, busy: float) -> dict[str, float]:
        """What the autoscaling policy reads: the fields of ``Report``, in seconds of work.

        Args:
            busy: utilisation of the slowest stage since the last report, 0 to 1.
        """
        now = self._clock()
        if not self._held and not self._done:
            busy = 0.0  # health checks also run the engine; they are no reason to keep a replica
        elapsed, self._reported_at = max(now - self._reported_at, 1e-9), now
        self._spent_s += busy * elapsed
        if self._done:
            measured = self._spent_s / self._done
            known = self._seconds_per_cost or measured
            self._seconds_per_cost = KEPT * known + (1 - KEPT) * measured
            self._done, self._spent_s = 0, 0.0
        self._queues = {gateway: news for gateway, news in self._queues.items() if now - news[0] <= NEWS_S}
        waiting = sum(cost for _, cost in self._queues.values())
        refused, self._refused = self._refused / elapsed, 0
        return {
            "busy": busy,
            "refused": refused * self._seconds_per_cost,
            "held_s": self._held * self._seconds_per_cost,
            "waiting_s": waiting * self._seconds_per_cost,
        }

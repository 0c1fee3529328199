"""What interactive requests notice of a window that is steered by probes among them: a simulation, whose time is no time."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator

import pytest

from deployments.backfill.via_service.window import RECENT, Window, limits_of, slowed

ALONE_S = 0.020
MINUTES = 15
SETTLED_S = 60.0


class Service:
    """One engine: an interactive request waits for the call of the job that is computed when it comes."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def alone(self) -> float:
        """Seconds of a request without the job; one of a hundred takes up to twice as long by itself."""
        by_chance = self.chance.uniform(0, ALONE_S) if self.chance.random() < 0.01 else 0.0
        return ALONE_S * self.chance.lognormvariate(0, 0.12) + by_chance

    def calls(self, window: Window, item_s: float, limits: list[float]) -> Iterator[tuple[float, float, Window]]:
        """When each call of the job begins and ends, and the window at that time."""
        now, probe_at = 0.0, 0.1
        recent: deque[float] = deque(maxlen=RECENT)
        while now < 60 * MINUTES:
            items = max(1, window.places // 2)
            end = now + items * item_s
            yield now, end, window
            until = end + window.rest(end - now)
            while probe_at < until:
                took = self.alone() + max(0.0, end - probe_at)
                recent.append(took)
                if slowed(limits, list(recent)):
                    window = window.after("slowed", probe_at)
                    recent.clear()
                probe_at += 0.1 + took
            now = until
            window = window.answered(items, now)


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(0.99 * len(seconds))]


@pytest.mark.parametrize("item_s", [0.006, 0.001], ids=["two cores", "a dozen cores"])
@pytest.mark.parametrize("seed", range(3))
def test_others_wait_at_most_a_fifth_longer_and_the_engine_is_hardly_ever_idle(item_s: float, seed: int) -> None:
    service = Service(seed)
    limits = limits_of([service.alone() for _ in range(100)])
    without = p99([service.alone() for _ in range(20_000)])
    taken: list[float] = []
    busy, arrival, stop = 0.0, SETTLED_S, 0.0
    for begin, end, _ in service.calls(Window(), item_s, limits):
        busy, stop = busy + end - begin, end
        while arrival < end:
            taken.append(service.alone() + (end - arrival if arrival >= begin else 0.0))
            arrival += service.chance.expovariate(60)
    assert p99(taken) / without <= 1.2
    assert busy / stop > 0.95

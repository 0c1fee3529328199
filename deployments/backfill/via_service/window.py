"""How many inputs are under way: one more for each round that went well, half of them when the service has enough.

Inputs and not requests are counted, as the gateway makes one call of what waits: their number is how long an engine is busy
with them, and that is what an interactive request may have to wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Seen = Literal["refused", "slowed"]
MOST = 512  # about a second of an engine's work: more would only wait in the gateway
LEAST = 1 / 16  # one input at a time, and 15 times as long nothing as its answer took
STEP = 0.1  # of the size, by which it grows at most with an answer
CALM_S = 1.0  # after a reduction: what was sent before it says nothing about it
CAREFUL = 0.75  # of the size at which others waited longer: up to there as ever, from there on slowly
# In which it grows from there to that size, and on at that pace, twice as fast after each such time without a reduction. At once as ever, it
# was at three times the size when the probes told.
RETURN_S = 60.0
FASTEST = 10  # of these doublings: by then it has long been at its most
RISE = 1.2  # of what interactive requests took before the job, from which they count as late
LEAST_RISE_S = 0.002  # what a busy machine's clock and scheduler add by chance
RECENT = 100  # probes among which late ones are counted


@dataclass(frozen=True)
class Lateness:
    """Which requests are late, and how many of them are more than chance."""

    quantile: float  # of those before the job, above a fifth of which a request is late
    recent: int  # probes, the last ones
    late: int  # of them


# The p99 is what callers are promised; the p90 rises with it and shows it within three seconds instead of ten.
LATENESSES = (Lateness(0.99, RECENT, 3), Lateness(0.9, 30, 6))


@dataclass(frozen=True)
class Window:
    """The number of inputs that may be under way; less than one is one with rests between."""

    size: float = 1.0
    ceiling: float = float(MOST)  # where others waited longer, or as far as it came since
    reduced_at: float = float("-inf")
    grown_at: float = float("-inf")

    @property
    def places(self) -> int:
        """In whole inputs."""
        return max(1, int(self.size))

    def rest(self, seconds: float) -> float:
        """How long the place of an input stays empty after an answer that took so many seconds."""
        return max(0.0, seconds * (1 / self.size - 1))

    def answered(self, items: int, now: float) -> Window:
        """The window when so many inputs were answered.

        Args:
            items: how many.
            now: seconds of a clock that only goes forward.
        """
        more = min(items / self.size, STEP * self.size)
        if CAREFUL * self.ceiling <= self.size and self.ceiling < MOST:
            since = min(max(now - self.grown_at, 0.0), CALM_S)
            doublings = min(max((now - self.reduced_at) / RETURN_S - 1, 0.0), FASTEST)
            more = min(more, (1 - CAREFUL) * self.ceiling * since / RETURN_S * 2**doublings)
        grown = min(float(MOST), self.size + more)
        return replace(self, size=grown, ceiling=max(self.ceiling, grown), grown_at=now)

    def after(self, seen: Seen, now: float) -> Window:
        """The window after a refusal (429, 503, no answer), or when other callers wait longer."""
        if now - self.reduced_at < CALM_S:
            return self
        ceiling = self.size if seen == "slowed" else self.ceiling
        return replace(self, size=max(LEAST, self.size / 2), ceiling=max(LEAST, ceiling), reduced_at=now)


def limits_of(before: Sequence[float]) -> list[float]:
    """Seconds from which an interactive request counts as late, for each of ``LATENESSES``, by those without the job."""
    ordered = sorted(before) or [float("inf")]
    usual = [ordered[min(len(ordered) - 1, int(one.quantile * len(ordered)))] for one in LATENESSES]
    return [max(RISE * seconds, seconds + LEAST_RISE_S) for seconds in usual]


def slowed(limits: Sequence[float], recent: Sequence[float]) -> bool:
    """Whether interactive requests are late more often than by chance.

    Args:
        limits: seconds, as ``limits_of`` gives them.
        recent: seconds of each since the window was last made smaller.
    """
    return any(
        sum(seconds > limit for seconds in recent[-one.recent :]) >= one.late
        for one, limit in zip(LATENESSES, limits, strict=True)
    )

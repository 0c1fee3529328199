"""How many requests are under way: one more for each round that went well, half of them when the service has enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Seen = Literal["answered", "refused", "slowed"]
MOST = 64  # bulk's share of a gateway's queue; more would only wait there
CALM_S = 1.0  # after a reduction: what was sent before it says nothing about it
RISE = 1.2  # of the interactive p99 before the job, which counts as slower
LEAST_RISE_S = 0.002  # what a busy machine's clock and scheduler add by chance
RECENT = 20  # probes by which it is told; with the usual ten a second the last two seconds
RECENT_SHARE = 0.9  # of them: one late answer among 20 is chance, three are not


@dataclass(frozen=True)
class Window:
    """The number of requests that may be under way."""

    size: float = 1.0
    reduced_at: float = float("-inf")
    most: int = MOST

    @property
    def places(self) -> int:
        """In whole requests, at least one."""
        return max(1, int(self.size))

    def after(self, seen: Seen, now: float) -> Window:
        """The window when something was seen.

        Args:
            seen: an answer; a refusal (429, 503, no answer); or that other callers wait longer.
            now: seconds of a clock that only goes forward.
        """
        if seen == "answered":
            return replace(self, size=min(float(self.most), self.size + 1 / self.size))
        if now - self.reduced_at < CALM_S:
            return self
        return replace(self, size=max(1.0, self.size / 2), reduced_at=now)


def slowed(before: Sequence[float], recent: Sequence[float]) -> bool:
    """Whether interactive requests take longer than before the job.

    Args:
        before: seconds of each, without the job.
        recent: seconds of each, with it.
    """
    last = sorted(recent[-RECENT:])
    if len(last) < RECENT or not before:
        return False
    usual = sorted(before)[min(len(before) - 1, int(0.99 * len(before)))]
    return last[int(RECENT_SHARE * RECENT) - 1] > max(RISE * usual, usual + LEAST_RISE_S)

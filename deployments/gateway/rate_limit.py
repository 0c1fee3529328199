"""The rate limit of each API key: a token bucket that counts inputs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from deployments.config.limits import Rate
from models.errors import RateLimitError


@dataclass(slots=True)
class Bucket:
    """A token bucket that a large request may overdraw.

    A request larger than the bucket would never pass. It passes when the bucket is full, and the next request waits until
    the debt is refilled.
    """

    level: float  # items that may come right now; below 0 after an overdraft
    at: float  # seconds of the clock when ``level`` was right

    def take(self, items: int, per_second: float, capacity: float, now: float) -> float:
        """Take items out of the bucket, if they may pass.

        Args:
            items: of one request.
            per_second: how fast the bucket refills.
            capacity: how many items it holds when full.
            now: seconds of the clock.

        Returns:
            0.0 when the items were taken; otherwise the seconds until they may pass, with nothing taken.
        """
        self.level = min(capacity, self.level + (now - self.at) * per_second)
        self.at = now
        wanted = min(items, capacity)
        if self.level < wanted:
            return (wanted - self.level) / per_second
        self.level -= items
        return 0.0


class RateLimiter:
    """A bucket for each API key, by the key's name; callers without a key share one, so that buckets are bounded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with full buckets; ``clock`` tells seconds."""
        self._clock = clock
        self._buckets: dict[str | None, Bucket] = {}

    def take(self, client: str | None, items: int, rate: Rate) -> None:
        """Take the items of a request out of its caller's bucket.

        Args:
            client: the name of its API key; None for callers without one.
            items: how many inputs it has.
            rate: the rates in force.

        Raises:
            RateLimitError: the bucket has too few left; says when to come again.
        """
        per_second = rate.items_per_second if client is None else rate.keys.get(client, rate.items_per_second)
        if per_second is None:
            return
        now, capacity = self._clock(), max(1.0, per_second * rate.burst_s)
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = self._buckets[client] = Bucket(capacity, now)
        wait_s = bucket.take(items, per_second, capacity, now)
        if wait_s > 0:
            raise RateLimitError(
                f"over the rate limit of {per_second:g} inputs per second", retry_after_s=max(1, math.ceil(wait_s))
            )

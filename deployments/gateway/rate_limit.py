"""How much one client may ask of this gateway."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from deployments.config.limits import Rate
from models.errors import RateLimitError


@dataclass(slots=True)
class Bucket:
    """A token bucket that may be overdrawn: a request larger than the bucket passes when it is full, and is paid off."""

    level: float  # items that may still come at once; below 0 what is owed
    at: float  # seconds of the clock when that held

    def take(self, items: int, per_second: float, capacity: float, now: float) -> float:
        """Take items out of the bucket.

        Returns:
            0 when they may pass, else the seconds until they might; then nothing was taken.
        """
        self.level = min(capacity, self.level + (now - self.at) * per_second)
        self.at = now
        wanted = min(items, capacity)
        if self.level < wanted:
            return (wanted - self.level) / per_second
        self.level -= items
        return 0.0


class RateLimiter:
    """A bucket for each API key, by its name; callers without one share a bucket. Bounded by the number of keys."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with full buckets; ``clock`` tells seconds."""
        self._clock = clock
        self._buckets: dict[str | None, Bucket] = {}

    def take(self, client: str | None, items: int, rate: Rate) -> None:
        """Count the items of a request.

        Raises:
            RateLimitError: they are too many for now.
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

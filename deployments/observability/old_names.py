"""Metrics under the names of the release before, so that an operator's dashboards and alerts survive the upgrade to this one.

The histograms' old series are gauges: Ray takes 10 µs for each observation of a histogram, and a second one for each
request would be too much. Queries cannot tell them from a histogram's.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

from ray.serve import metrics

from deployments.observability.labels import Labels

MILLISECONDS = [1, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 250, 500, 1000, 2500, 5000, 10000, 30000]


class OldHistogram:
    """``NAME_bucket``, ``NAME_sum`` and ``NAME_count`` in milliseconds, of what is observed in seconds."""

    def __init__(self, name: str, labels: Labels) -> None:
        """Register the three series with Ray; ``labels`` are the first of those that are observed."""
        self._labels = labels
        told = f"(old name) {name}"
        self._bucket = metrics.Gauge(f"{name}_bucket", told, tag_keys=(*labels, "le"))  # type: ignore[arg-type]
        self._sum = metrics.Gauge(f"{name}_sum", told, tag_keys=labels)  # type: ignore[arg-type]
        self._count = metrics.Gauge(f"{name}_count", told, tag_keys=labels)  # type: ignore[arg-type]
        self._seen: dict[Labels, list[int]] = {}  # how many fell into each bucket, the last one is above all bounds
        self._total: dict[Labels, float] = {}

    def observe(self, values: Labels, seconds: float) -> None:
        """Add one value to what ``flush`` hands over."""
        values, ms = values[: len(self._labels)], seconds * 1000
        seen = self._seen.setdefault(values, [0] * (len(MILLISECONDS) + 1))
        seen[bisect_left(MILLISECONDS, ms)] += 1
        self._total[values] = self._total.get(values, 0.0) + ms

    def flush(self) -> None:
        """Hand all of it to Ray, which forgets a gauge that is not set again."""
        for values, seen in self._seen.items():
            tags = dict(zip(self._labels, values, strict=True))
            for bound, count in zip([*map(float, MILLISECONDS), "+Inf"], accumulate(seen), strict=True):
                self._bucket.set(count, {**tags, "le": str(bound)})
            self._sum.set(self._total[values], tags)
            self._count.set(sum(seen), tags)


class RenamedGauge:
    """A gauge that is set under its old name too, while ``old`` is."""

    def __init__(self, name: str, old_name: str, description: str) -> None:
        """Register both with Ray."""
        self.old = True
        self._metric = metrics.Gauge(name, description)
        self._old = metrics.Gauge(old_name, f"(old name) {description}")

    def set(self, value: float) -> None:
        """Set it."""
        self._metric.set(value)
        if self.old:
            self._old.set(value)

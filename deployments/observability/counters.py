"""Counters that are handed to Ray once a second.

Every call into Ray's metrics costs about 10 µs, a tenth of a cached request.
"""

from __future__ import annotations

from collections import defaultdict

from ray.serve import metrics

from deployments.observability.labels import Labels


class Counters:
    """The counters of one name, by their labels' values. They are added up here until ``flush``."""

    def __init__(self, name: str, description: str, labels: Labels) -> None:
        """Register the metric with Ray."""
        self._labels = labels
        self._metric = metrics.Counter(name, description, tag_keys=labels)  # type: ignore[arg-type]
        self._pending: defaultdict[Labels, float] = defaultdict(float)

    def add(self, values: Labels, amount: float = 1) -> None:
        """Count ``amount`` under these label values."""
        self._pending[values] += amount

    def flush(self) -> None:
        """Hand what was counted to Ray."""
        pending, self._pending = self._pending, defaultdict(float)
        for values, amount in pending.items():
            if amount > 0:
                self._metric.inc(amount, dict(zip(self._labels, values, strict=True)))

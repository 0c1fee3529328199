"""Histograms that are handed to Ray once a second, for the reason that counters are."""

from __future__ import annotations

from ray.serve import metrics

from deployments.observability.labels import Labels

MILLISECONDS = [1, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 250, 500, 1000, 2500, 5000, 10000, 30000]


class Histogram:
    """The histogram of one name. At most ``KEEP`` observations are kept until ``flush``."""

    KEEP = 5000  # as many as a second has; the rest of that second's are dropped

    def __init__(self, name: str, description: str, boundaries: list[float], labels: Labels) -> None:
        """Register the metric with Ray."""
        self._labels = labels
        self._metric = metrics.Histogram(name, description, boundaries=boundaries, tag_keys=labels)  # type: ignore[arg-type]
        self._pending: list[tuple[Labels, float]] = []

    def observe(self, values: Labels, value: float) -> None:
        """Note one value under these label values."""
        if len(self._pending) < self.KEEP:
            self._pending.append((values, value))

    def flush(self) -> None:
        """Hand what was noted to Ray."""
        pending, self._pending = self._pending, []
        for values, value in pending:
            self._metric.observe(value, dict(zip(self._labels, values, strict=True)))

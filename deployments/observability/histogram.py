"""Histograms that are handed to Ray once a second, for the reason that counters are."""

from __future__ import annotations

from ray.serve import metrics

from deployments.observability.labels import Labels
from deployments.observability.old_names import MILLISECONDS, OldHistogram

SECONDS = [ms / 1000 for ms in MILLISECONDS]


class Histogram:
    """The histogram of one name. At most ``KEEP`` observations are kept until they are handed over."""

    KEEP = 5000  # as many as a second has; the rest of that second's are dropped
    PART = 200  # handed over in one go: Ray takes up to 10 µs for each

    def __init__(
        self, name: str, description: str, boundaries: list[float], labels: Labels, before: OldHistogram | None = None
    ) -> None:
        """Register the metric with Ray; ``before`` gets what it gets, while ``old`` is set."""
        self.old = True
        self._labels = labels
        self._before = before
        self._metric = metrics.Histogram(name, description, boundaries=boundaries, tag_keys=labels)  # type: ignore[arg-type]
        self._pending: list[tuple[Labels, float]] = []

    def observe(self, values: Labels, value: float) -> None:
        """Note one value under these label values."""
        if len(self._pending) < self.KEEP:
            self._pending.append((values, value))

    def flush(self) -> bool:
        """Hand a part of what was noted to Ray; whether there is more."""
        pending, self._pending = self._pending[: self.PART], self._pending[self.PART :]
        tags = {values: dict(zip(self._labels, values, strict=True)) for values, _ in pending}
        for values, value in pending:
            self._metric.observe(value, tags[values])
        if self._before is not None and self.old:
            for values, value in pending:
                self._before.observe(values, value)
            if not self._pending:
                self._before.flush()
        return bool(self._pending)

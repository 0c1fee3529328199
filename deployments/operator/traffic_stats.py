"""Rate, latency and errors of each version, from two looks at the service's ``/metrics``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

REQUESTS = "embedserve_requests"
LATENCY = "embedserve_request_latency_ms"
SAMPLE = re.compile(r"^(?:ray_)?(embedserve_\w+?)(_total|_bucket)?\{(.*)\} ([^ ]+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass
class Counts:
    """What a version counted since it started, all replicas together."""

    answered: float = 0
    failed: float = 0  # answers with a status of 500 or more
    buckets: dict[float, float] = field(default_factory=lambda: defaultdict(float))  # upper bound in ms → cumulative

    def since(self, earlier: Counts) -> Counts:
        """What was counted in between; a replica that went takes its counts along, which shows as 0."""
        difference = Counts(max(self.answered - earlier.answered, 0), max(self.failed - earlier.failed, 0))
        for bound, count in self.buckets.items():
            difference.buckets[bound] = max(count - earlier.buckets.get(bound, 0), 0)
        return difference

    def quantile_ms(self, part: float) -> float | None:
        """The latency below which ``part`` of the answers lie, linear within a bucket as Prometheus does it."""
        bounds = sorted(self.buckets)
        total = self.buckets[bounds[-1]] if bounds else 0
        if total <= 0:
            return None
        wanted, lower, below = part * total, 0.0, 0.0
        for bound in bounds:
            count = self.buckets[bound]
            if count >= wanted:
                if bound == float("inf"):
                    return lower
                return lower + (bound - lower) * (wanted - below) / max(count - below, 1e-9)
            lower, below = bound, count
        return lower


def parse(exposition: str) -> dict[str, Counts]:
    """Counts by ``name@version``; empty where the service exports none."""
    result: dict[str, Counts] = defaultdict(Counts)
    for line in exposition.splitlines():
        match = SAMPLE.match(line)
        if not match:
            continue
        name, suffix, labels, value = match.groups()
        pairs = dict(LABEL.findall(labels))
        if (name, suffix) not in {(REQUESTS, "_total"), (LATENCY, "_bucket")} or "version" not in pairs:
            continue
        _count(result[_reference(pairs)], name, pairs, float(value))
    return dict(result)


def _reference(labels: Mapping[str, str]) -> str:
    version = labels["version"]
    return version if "@" in version else f"{labels.get('model', '')}@{version}"


def _count(counts: Counts, name: str, labels: Mapping[str, str], value: float) -> None:
    if name == REQUESTS:
        counts.answered += value
        if labels.get("code", "").startswith("5"):
            counts.failed += value
    else:
        counts.buckets[float(labels["le"])] += value

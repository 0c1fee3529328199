"""Rate, latency and errors of each version, from two looks at the service's ``/metrics``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from deployments.operator import neighbour_stats
from deployments.operator.neighbour_stats import Gathered, NeighbourStats

PREFIX = "ray_"  # Ray's own exporter puts it before every name
REQUESTS = "embedserve_requests_total"
LATENCY = "embedserve_request_duration_seconds_bucket"
SHADOW = "embedserve_shadow_cosine"
ASSIGNMENTS, SHARES = "embedserve_assignments_total", "embedserve_experiment_share"
QUANTILES = (0.5, 0.99)  # of latencies, that versions are compared by
COSINE, COSINE_SUM = f"{SHADOW}_bucket", f"{SHADOW}_sum"


@dataclass
class TrafficStats:
    """What a version counted since it started, all replicas together."""

    answered: float = 0
    failed: float = 0  # answers with a status of 500 or more
    refused: float = 0  # answers with 400: of inputs that are wrong, or that the model fails at
    buckets: dict[float, float] = field(
        default_factory=lambda: defaultdict(float)
    )  # upper bound in seconds → cumulative
    # The same of requests of which nothing was cached: a new version's cache is empty, an old one's is not.
    computed: dict[float, float] = field(default_factory=lambda: defaultdict(float))
    cosines: dict[float, float] = field(default_factory=lambda: defaultdict(float))  # of its shadow copies
    cosine_sum: float = 0
    # Of its model's experiments: requests without a key that weights gave to it, and its part of the traffic in those in force.
    assigned: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    shares: dict[str, float] = field(default_factory=dict)
    neighbours: dict[str, NeighbourStats] = field(default_factory=dict)  # by the version that it is compared with

    def __add__(self, other: TrafficStats) -> TrafficStats:
        """What two versions counted."""
        result = TrafficStats(self.answered + other.answered, self.failed + other.failed, self.refused + other.refused)
        for one in (self, other):
            for bound, count in one.buckets.items():
                result.buckets[bound] += count
            for bound, count in one.computed.items():
                result.computed[bound] += count
        return result

    def since(self, earlier: TrafficStats) -> TrafficStats:
        """What was counted in between; a replica that stopped takes its counts along, which shows as 0."""
        difference = TrafficStats(
            max(self.answered - earlier.answered, 0),
            max(self.failed - earlier.failed, 0),
            max(self.refused - earlier.refused, 0),
        )
        # Of the last hour, or of an experiment, whenever one looks.
        difference.neighbours, difference.assigned, difference.shares = self.neighbours, self.assigned, self.shares
        for bound, count in self.buckets.items():
            difference.buckets[bound] = max(count - earlier.buckets.get(bound, 0), 0)
        for bound, count in self.computed.items():
            difference.computed[bound] = max(count - earlier.computed.get(bound, 0), 0)
        for bound, count in self.cosines.items():
            difference.cosines[bound] = max(count - earlier.cosines.get(bound, 0), 0)
        difference.cosine_sum = max(self.cosine_sum - earlier.cosine_sum, 0)
        return difference

    def quantile_ms(self, part: float) -> float | None:
        """The latency in ms below which ``part`` of the answers lie, linear within a bucket as Prometheus does it."""
        seconds = self._quantile(part)
        return None if seconds is None else seconds * 1000

    def _quantile(self, part: float) -> float | None:
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


def parse(exposition: str) -> dict[str, TrafficStats]:
    """Statistics by ``name@version``; empty where the service exports none.

    Raises:
        ValueError: the text is no exposition of Prometheus.
    """
    result: dict[str, TrafficStats] = defaultdict(TrafficStats)
    gathered = Gathered()
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            name = sample.name.removeprefix(PREFIX)
            if name in (REQUESTS, LATENCY) and "version" in sample.labels:
                _add(result[_reference(sample.labels)], name, sample.labels, sample.value)
            elif name in (COSINE, COSINE_SUM) and "shadow" in sample.labels:
                candidate = result[f"{sample.labels.get('model', '')}@{sample.labels['shadow']}"]
                _add_cosine(candidate, name, sample.labels, sample.value)
            elif name in (ASSIGNMENTS, SHARES) and "experiment" in sample.labels:
                _add_experiment(result[_reference(sample.labels)], name, sample.labels, sample.value)
            elif name in neighbour_stats.NAMES:
                gathered.add(name, sample.labels, sample.value)
    for (reference, other), found in gathered.pairs().items():
        result[reference].neighbours[other] = found
    return dict(result)


def _reference(labels: Mapping[str, str]) -> str:
    version = labels["version"]
    return version if "@" in version else f"{labels.get('model', '')}@{version}"


def _add(stats: TrafficStats, name: str, labels: Mapping[str, str], value: float) -> None:
    if name == REQUESTS:
        stats.answered += value
        if labels.get("code", "").startswith("5"):
            stats.failed += value
        elif labels.get("code") == "400":
            stats.refused += value
    else:
        stats.buckets[float(labels["le"])] += value
        if labels.get("cache", "miss") == "miss":  # a gateway of the release before does not say
            stats.computed[float(labels["le"])] += value


def _add_experiment(stats: TrafficStats, name: str, labels: Mapping[str, str], value: float) -> None:
    if name == SHARES:
        stats.shares[labels["experiment"]] = value
    elif (labels.get("chosen"), labels.get("keyed")) == ("weight", "no"):
        stats.assigned[labels["experiment"]] += value


def _add_cosine(stats: TrafficStats, name: str, labels: Mapping[str, str], value: float) -> None:
    if name == COSINE:
        stats.cosines[float(labels["le"])] += value
    else:
        stats.cosine_sum += value

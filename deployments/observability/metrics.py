"""The metrics of gateway and encoders. docs/operations.md lists them with units and labels.

Every call into Ray's metrics costs about 10 µs, which is a tenth of a cached request: counters are added up here and
handed over once a second. Label values are model versions, status codes and fixed words, so that their number is bounded.
"""

from __future__ import annotations

from collections import defaultdict

from ray.serve import metrics

from models.engine.providers import CHAIN

MILLISECONDS = [1, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 250, 500, 1000, 2500, 5000, 10000, 30000]
VERSION = ("model", "version")
Labels = tuple[str, ...]


class Counters:
    """Counters of one name, summed up until they are flushed."""

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


class Distribution:
    """A histogram; observations wait until they are flushed, at most ``KEEP`` of them."""

    KEEP = 5000  # a second's worth; beyond it every further observation of that second is dropped

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


class GatewayMetrics:
    """What the gateway counts."""

    def __init__(self) -> None:
        """Register everything with Ray; needs a replica's context."""
        self.requests = Counters("embedserve_requests", "requests answered, by status code", (*VERSION, "code"))
        self.items = Counters("embedserve_items", "inputs embedded or taken from the cache", VERSION)
        self.tokens = Counters("embedserve_tokens", "tokens of those inputs", VERSION)
        self.lookups = Counters("embedserve_cache_lookups", "inputs looked up in the cache", (*VERSION, "result"))
        shared = "inputs that memory lacked, looked up in the shared cache"
        self.shared_lookups = Counters("embedserve_shared_cache_lookups", shared, (*VERSION, "result"))
        self.shared_writes = Counters("embedserve_shared_cache_writes", "vectors for the shared cache", ("result",))
        self.shed = Counters("embedserve_shed", "requests refused for load", (*VERSION, "reason"))
        self.calls = Counters("embedserve_calls", "calls to encoders", (*VERSION, "way"))
        self.latency = Distribution("embedserve_request_latency_ms", "body read to answer, ms", MILLISECONDS, VERSION)
        cosines = [0.25, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999]
        self.shadow = Distribution(
            "embedserve_shadow_cosine", "cosine of shadow to primary", cosines, (*VERSION, "shadow")
        )
        self.ready = metrics.Gauge("embedserve_version_ready", "1 when a replica embeds", tag_keys=VERSION)  # type: ignore[arg-type]
        self.queue = metrics.Gauge("embedserve_queue_items", "inputs that wait for a call", tag_keys=VERSION)  # type: ignore[arg-type]
        self.cache = metrics.Gauge("embedserve_cache_bytes", "bytes of cached vectors")
        self.shared_up = metrics.Gauge("embedserve_shared_cache_up", "0 while left alone", tag_keys=("operation",))
        self.seam_in_use = metrics.Gauge("embedserve_seam_in_use", "1 where it is in use", tag_keys=("seam",))
        self.seam_uses = Counters("embedserve_seam_uses", "requests, answers or calls that took it", ("seam",))
        versions = ("installed", "tested")
        self.ray_tested = metrics.Gauge("embedserve_ray_tested", "0: seams stay off", tag_keys=versions)  # type: ignore[arg-type]
        self.artifact = metrics.Gauge("embedserve_artifact_info", "1 for the hash served", tag_keys=(*VERSION, "hash"))  # type: ignore[arg-type]

    def flush(self) -> None:
        """Hand everything to Ray."""
        lookups = (self.lookups, self.shared_lookups, self.shared_writes)
        for counters in (self.requests, self.items, self.tokens, self.shed, self.calls, self.seam_uses, *lookups):
            counters.flush()
        self.latency.flush()
        self.shadow.flush()


class EncoderMetrics:
    """What an encoder counts."""

    def __init__(self) -> None:
        """Register everything with Ray; needs a replica's context."""
        sizes = [1.0, 2, 4, 8, 16, 32, 64, 128, 256, 512]
        self.stage = Distribution("embedserve_stage_latency_ms", "ms in a stage", MILLISECONDS, (*VERSION, "stage"))
        self.batch = Distribution("embedserve_batch_items", "inputs that ran together", sizes, VERSION)
        ratios = [0.01, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5]
        self.padding = Distribution("embedserve_padding_ratio", "part of a batch that is padding", ratios, VERSION)
        self.swaps = Counters("embedserve_swaps", "artifact swaps, by result", (*VERSION, "result"))
        providers = (*VERSION, "provider")
        self.provider = metrics.Gauge("embedserve_provider_info", "1 where it computes", tag_keys=providers)  # type: ignore[arg-type]

    def note_provider(self, labels: Labels, provider: str) -> None:
        """Say which execution provider computes now, and that no other does."""
        for name in (*CHAIN, *({provider} - set(CHAIN))):
            self.provider.set(float(name == provider), dict(zip((*VERSION, "provider"), (*labels, name), strict=True)))

    def flush(self) -> None:
        """Hand everything to Ray."""
        for metric in (self.stage, self.batch, self.padding, self.swaps):
            metric.flush()

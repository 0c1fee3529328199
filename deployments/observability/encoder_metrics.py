"""The metrics of an encoder. docs/operations.md lists them with units and labels."""

from __future__ import annotations

from ray.serve import metrics

from deployments.observability.counters import Counters
from deployments.observability.histogram import MILLISECONDS, Histogram
from deployments.observability.labels import VERSION, Labels
from models.engine.providers import CHAIN

ITEMS = [1.0, 2, 4, 8, 16, 32, 64, 128, 256, 512]
RATIOS = [0.01, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5]


class EncoderMetrics:
    """The metrics of one encoder replica."""

    def __init__(self) -> None:
        """Register everything with Ray; needs a replica's context."""
        self.stage = Histogram("embedserve_stage_latency_ms", "ms in a stage", MILLISECONDS, (*VERSION, "stage"))
        self.batch = Histogram("embedserve_batch_items", "inputs that ran together", ITEMS, VERSION)
        self.padding = Histogram("embedserve_padding_ratio", "part of a batch that is padding", RATIOS, VERSION)
        self.swaps = Counters("embedserve_swaps", "artifact swaps, by result", (*VERSION, "result"))
        providers = (*VERSION, "provider")
        self._providers: dict[tuple[str, ...], float] = {}  # by the labels of the gauge
        self.provider = metrics.Gauge("embedserve_provider_info", "1 where it computes", tag_keys=providers)  # type: ignore[arg-type]

    def note_provider(self, labels: Labels, provider: str) -> None:
        """Set the execution provider that computes now to 1 and every other to 0."""
        for name in (*CHAIN, *({provider} - set(CHAIN))):
            self._providers[(*labels, name)] = float(name == provider)
        self.flush()

    def flush(self) -> None:
        """Hand everything to Ray, which forgets a gauge that is not set again within two of its export intervals."""
        for labels, value in self._providers.items():
            self.provider.set(value, dict(zip((*VERSION, "provider"), labels, strict=True)))
        for metric in (self.stage, self.batch, self.padding, self.swaps):
            metric.flush()

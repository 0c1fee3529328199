"""The metrics of an encoder. docs/operations.md lists them with units and labels."""

from __future__ import annotations

from collections.abc import Iterable

from ray.serve import metrics

from deployments.observability.counters import Counters
from deployments.observability.drift_gauges import DriftGauges
from deployments.observability.histogram import SECONDS, Histogram
from deployments.observability.labels import VERSION, Labels
from deployments.observability.old_names import OldHistogram
from models.engine.card_trouble import Trouble
from models.engine.providers import CHAIN

ITEMS = [1.0, 2, 4, 8, 16, 32, 64, 128, 256, 512]
RATIOS = [0.01, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5]


class EncoderMetrics:
    """The metrics of one encoder replica."""

    def __init__(self) -> None:
        """Register everything with Ray; needs a replica's context."""
        stage = (*VERSION, "stage")
        before = OldHistogram("embedserve_stage_latency_ms", stage)
        self.stage = Histogram("embedserve_stage_duration_seconds", "time in a stage", SECONDS, stage, before)
        self.batch = Histogram("embedserve_batch_items", "inputs that ran together", ITEMS, VERSION)
        self.padding = Histogram("embedserve_padding_ratio", "part of a batch that is padding", RATIOS, VERSION)
        self.swaps = Counters("embedserve_swaps", "artifact swaps, by result", (*VERSION, "result"))
        self.decoder_calls = Counters("embedserve_decoder_calls", "calls to decoders", (*VERSION, "way"))
        providers = (*VERSION, "provider")
        self._providers: dict[tuple[str, ...], float] = {}  # by the labels of the gauge
        self.provider = metrics.Gauge("embedserve_provider_info", "1 where it computes", tag_keys=providers)  # type: ignore[arg-type]
        self._troubles: dict[tuple[str, ...], float] = {}
        causes = (*VERSION, "cause")
        self.trouble = metrics.Gauge("embedserve_card_trouble", "1 for what keeps a card from it", tag_keys=causes)  # type: ignore[arg-type]
        self._numerics: dict[str, str] | None = None  # the labels of the gauge, of what computes now
        computes = (*VERSION, "hash", "numerics", "provider", "precision")
        self.numerics = metrics.Gauge("embedserve_numerics_info", "1 for what computes vectors", tag_keys=computes)  # type: ignore[arg-type]

        self.drift = DriftGauges()

    def keep_old_names(self, keep: bool) -> None:
        """Whether metrics whose names changed are exported under their old names too."""
        self.stage.old = keep

    def note_numerics(self, version: Labels, hash_: str, numerics: str, provider: str, precision: str) -> None:
        """Set what computes this version's vectors now to 1, and what did so before to 0, once."""
        if self._numerics is not None:
            self.numerics.set(0, self._numerics)
        names = (*VERSION, "hash", "numerics", "provider", "precision")
        self._numerics = dict(zip(names, (*version, hash_, numerics, provider, precision), strict=True))
        self.numerics.set(1, self._numerics)

    def note_provider(self, labels: Labels, provider: str) -> None:
        """Set the execution provider that computes now to 1 and every other to 0."""
        for name in (*CHAIN, *({provider} - set(CHAIN))):
            self._providers[(*labels, name)] = float(name == provider)
        self.flush()

    def note_troubles(self, labels: Labels, troubles: Iterable[Trouble]) -> None:
        """Set the causes that there are to 1, and those that there were to 0."""
        found = {(*labels, trouble.cause) for trouble in troubles}
        self._troubles = {known: float(known in found) for known in {*self._troubles, *found}}

    def flush(self) -> None:
        """Hand everything to Ray, which forgets a gauge that is not set again within two of its export intervals."""
        for labels, value in self._providers.items():
            self.provider.set(value, dict(zip((*VERSION, "provider"), labels, strict=True)))
        for labels, value in self._troubles.items():
            self.trouble.set(value, dict(zip((*VERSION, "cause"), labels, strict=True)))
        if self._numerics is not None:
            self.numerics.set(1, self._numerics)
        for histogram in (self.stage, self.batch, self.padding):
            while histogram.flush():
                pass
        for metric in (self.swaps, self.decoder_calls, self.drift):
            metric.flush()

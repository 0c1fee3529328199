"""What the metrics show of each version."""

from __future__ import annotations

from deployments.gateway.model_registry import ModelRegistry
from deployments.gateway.model_version import ModelVersion
from deployments.observability.gateway_metrics import GatewayMetrics


class VersionGauges:
    """Sets the gauges of versions, and counts the calls that each made."""

    def __init__(self, metrics: GatewayMetrics) -> None:
        """Report into ``metrics``; nothing was reported yet."""
        self._metrics = metrics
        self._hashes: dict[str, str] = {}  # last reported, by the version's reference

    def report(self, registry: ModelRegistry) -> None:
        """Report the versions as they are now."""
        for version in registry.versions.values():
            labels = {"model": version.model, "version": version.version}
            split = registry.experiments.get(version.model)
            if split is not None:
                self._metrics.experiment_share.set(registry.share(version), {**labels, "experiment": split})
            self._metrics.ready.set(float(version.takes_requests), labels)
            self._metrics.queue.set(version.queue.waiting_items, labels)
            for way, count in version.take_calls().items():
                self._metrics.calls.add((version.model, version.version, way), count)
            if version.info is not None:
                self._report_hash(version, version.info.label.hash)

    def _report_hash(self, version: ModelVersion, current: str) -> None:
        """Set the hash served to 1 and the one before it to 0: otherwise both stand until Ray forgets the old one."""
        labels = {"model": version.model, "version": version.version}
        before = self._hashes.get(version.reference)
        if before not in (None, current):
            self._metrics.artifact.set(0, {**labels, "hash": before})
        self._hashes[version.reference] = current
        self._metrics.artifact.set(1, {**labels, "hash": current})

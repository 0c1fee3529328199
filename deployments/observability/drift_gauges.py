"""The gauges of drift in an encoder. docs/operations.md lists them with units and labels."""

from __future__ import annotations

from collections.abc import Mapping

from ray.serve import metrics

from deployments.observability.labels import VERSION, Labels

VECTORS = ("mean", "covariance")  # what is said of vectors; all else is said of inputs


class DriftGauges:
    """What is known of the drift of one version, set again with each ``flush``: Ray forgets a gauge that is not."""

    def __init__(self) -> None:
        """Register everything with Ray; needs a replica's context."""
        trait = (*VERSION, "trait")
        told = "how far a trait of the inputs is from the reference"
        self.input_drift = metrics.Gauge("embedserve_input_drift", told, tag_keys=trait)  # type: ignore[arg-type]
        told = "of a trait of the inputs"
        self.input_mean = metrics.Gauge("embedserve_input_mean", told, tag_keys=(*trait, "window"))  # type: ignore[arg-type]
        told = "how far the vectors are from the reference"
        self.embedding_drift = metrics.Gauge("embedserve_embedding_drift", told, tag_keys=(*VERSION, "of"))  # type: ignore[arg-type]
        told = "inputs that drift is measured on"
        self.inputs = metrics.Gauge("embedserve_drift_inputs", told, tag_keys=(*VERSION, "window"))  # type: ignore[arg-type]
        self._set: list[tuple[metrics.Gauge, dict[str, str], float]] = []

    def note(
        self,
        version: Labels,
        distances: Mapping[str, float],
        means: Mapping[tuple[str, str], float],
        counts: Mapping[str, int],
    ) -> None:
        """Take what is known now; what is not named is set no more.

        Args:
            version: name and version.
            distances: by trait of inputs, and of the vectors' ``mean`` and ``covariance``.
            means: by trait and window.
            counts: of inputs, by window.
        """
        labels = dict(zip(VERSION, version, strict=True))
        self._set = [(self.inputs, {**labels, "window": window}, float(count)) for window, count in counts.items()]
        for name, value in distances.items():
            gauge, key = (self.embedding_drift, "of") if name in VECTORS else (self.input_drift, "trait")
            self._set.append((gauge, {**labels, key: name}, value))
        for (trait, window), value in means.items():
            self._set.append((self.input_mean, {**labels, "trait": trait, "window": window}, value))

    def flush(self) -> None:
        """Hand everything to Ray."""
        for gauge, labels, value in self._set:
            gauge.set(value, labels)

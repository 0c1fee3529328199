"""Whether Serve runs what its RayService says, as gauges for Prometheus."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge

from deployments.operator.kube.report import compared
from deployments.operator.kube.service import KubeService
from deployments.operator.kube.status import obstacle
from models.errors import EmbedserveError
from models.redaction import redacted

DRIFT = "embedserve_manifest_drift"
COMPARED = "embedserve_manifest_compared_timestamp_seconds"


class DriftGauge:
    """The gauges of one RayService, and what the last look found."""

    def __init__(self, name: str, connect: Callable[[], KubeService], dashboard: str | None = None) -> None:
        """Register the gauges; nothing is asked yet.

        Args:
            name: of the RayService.
            connect: gives it, for each look anew: an exporter outlives tokens, addresses and API servers.
            dashboard: of its Ray, for a comparison of everything; what gateways say of themselves is compared otherwise.
        """
        self.registry = CollectorRegistry()
        self._name, self._connect, self._dashboard = name, connect, dashboard
        what = "1: Serve runs something else than the RayService says; absent: not known, or an upgrade is under way"
        self._drift = Gauge(DRIFT, what, ["rayservice"], registry=self.registry)
        self._compared = Gauge(COMPARED, "when the two were last compared", ["rayservice"], registry=self.registry)
        self._compared.labels(name).set(time.time())  # so that an exporter that never can is noticed as well
        self._said = ""

    def look(self) -> None:
        """Compare once. What cannot be asked now leaves the drift unknown, and is said on standard error."""
        try:
            drift = self._look()
        except EmbedserveError as error:
            self._drift.clear()
            self._say(f"not known: {error}")
            return
        self._compared.labels(self._name).set(time.time())
        if drift is None:
            self._drift.clear()
        else:
            self._drift.labels(self._name).set(bool(drift))
            self._say("\n  ".join(["what is served is not what the manifest says:", *drift]) if drift else "none")

    def _look(self) -> list[str] | None:
        """The lines in which the two differ; None while they may, because two clusters serve or none."""
        service = self._connect()
        if reason := obstacle(service.resource()):
            self._say(f"not compared: {reason}")
            return None
        return compared(service, service.read(), self._dashboard)

    def _say(self, what: str) -> None:
        if what != self._said:
            print(redacted(f"drift: {what}"), file=sys.stderr, flush=True)
            self._said = what

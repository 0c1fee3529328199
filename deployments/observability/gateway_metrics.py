"""The metrics of a gateway. docs/operations.md lists them with units and labels."""

from __future__ import annotations

import asyncio

from ray.serve import metrics

from deployments.observability.counters import Counters
from deployments.observability.histogram import SECONDS, Histogram
from deployments.observability.labels import VERSION
from deployments.observability.old_names import OldHistogram, RenamedGauge

COSINES = [0.25, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999]


class GatewayMetrics:
    """The metrics of one gateway replica."""

    def __init__(self) -> None:
        """Register everything with Ray; needs a replica's context."""
        self.requests = Counters("embedserve_requests", "requests answered", (*VERSION, "code", "modality"))
        self.items = Counters("embedserve_items", "inputs embedded or taken from the cache", VERSION)
        self.tokens = Counters("embedserve_tokens", "tokens of those inputs", VERSION)
        split = (*VERSION, "experiment")
        told = "requests for which a version was chosen"
        self.assignments = Counters("embedserve_assignments", told, (*split, "chosen", "keyed"))
        told = "part of the traffic that an experiment in force gives to a version"
        self.experiment_share = metrics.Gauge("embedserve_experiment_share", told, tag_keys=split)  # type: ignore[arg-type]
        self.lookups = Counters("embedserve_cache_lookups", "inputs looked up in the cache", (*VERSION, "result"))
        shared = "inputs that memory lacked, looked up in the shared cache"
        self.shared_lookups = Counters("embedserve_shared_cache_lookups", shared, (*VERSION, "result"))
        self.shared_writes = Counters("embedserve_shared_cache_writes", "vectors for the shared cache", ("result",))
        self.shed = Counters("embedserve_shed", "requests refused for load", (*VERSION, "reason"))
        self.cut_off = Counters("embedserve_cut_off", "clients cut off, or refused for want of memory", ("reason",))
        self.calls = Counters("embedserve_calls", "calls to encoders", (*VERSION, "way"))
        before = OldHistogram("embedserve_request_latency_ms", VERSION)
        timed = (*VERSION, "modality", "cache")
        self.latency = Histogram("embedserve_request_duration_seconds", "body read to answer", SECONDS, timed, before)
        self.shadow = Histogram(
            "embedserve_shadow_cosine", "cosine of shadow to primary", COSINES, (*VERSION, "shadow")
        )
        pair = (*VERSION, "other")
        told = "inputs of which so many neighbours are the same"
        self.neighbour_inputs = metrics.Gauge("embedserve_neighbour_inputs", told, tag_keys=(*pair, "same"))  # type: ignore[arg-type]
        told = "part of the ten nearest that two versions share"
        self.neighbour_overlap = metrics.Gauge("embedserve_neighbour_overlap", told, tag_keys=(*pair, "bound"))  # type: ignore[arg-type]
        told = "of what two versions find near"
        self.rank_correlation = metrics.Gauge("embedserve_rank_correlation", told, tag_keys=(*pair, "bound"))  # type: ignore[arg-type]
        self.ready = metrics.Gauge("embedserve_version_ready", "1 when a replica embeds", tag_keys=VERSION)  # type: ignore[arg-type]
        self.queue = metrics.Gauge("embedserve_queue_items", "inputs that wait for a call", tag_keys=VERSION)  # type: ignore[arg-type]
        self.cache = metrics.Gauge("embedserve_cache_bytes", "bytes of cached vectors")
        age, old_age = "embedserve_api_keys_age_seconds", "embedserve_api_keys_age_s"
        self.keys_age = RenamedGauge(age, old_age, "since the key file was last read whole")
        expiry = "embedserve_api_keys_next_expiry_timestamp_seconds"
        self.keys_expiry = metrics.Gauge(expiry, "when the next API key expires; 0: none does")
        self.shared_up = metrics.Gauge("embedserve_shared_cache_up", "0 while left alone", tag_keys=("operation",))
        self.seam_in_use = metrics.Gauge("embedserve_seam_in_use", "1 where it is in use", tag_keys=("seam",))
        self.seam_uses = Counters("embedserve_seam_uses", "requests, answers or calls that took it", ("seam",))
        versions = ("installed", "tested")
        self.ray_tested = metrics.Gauge("embedserve_ray_tested", "0: seams stay off", tag_keys=versions)  # type: ignore[arg-type]
        self.artifact = metrics.Gauge("embedserve_artifact_info", "1 for the hash served", tag_keys=(*VERSION, "hash"))  # type: ignore[arg-type]

    def keep_old_names(self, keep: bool) -> None:
        """Whether metrics whose names changed are exported under their old names too."""
        self.latency.old = self.keys_age.old = keep

    async def flush(self) -> None:
        """Hand everything to Ray, in parts between which requests pass."""
        lookups = (self.lookups, self.shared_lookups, self.shared_writes)
        for counters in (
            self.requests,
            self.items,
            self.tokens,
            self.shed,
            self.cut_off,
            self.calls,
            self.assignments,
            self.seam_uses,
            *lookups,
        ):
            counters.flush()
        for histogram in (self.latency, self.shadow):
            more = True
            while more:
                more = histogram.flush()
                await asyncio.sleep(0)

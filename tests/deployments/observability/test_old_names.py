"""What dashboards of the release before read goes on, and ends when an operator says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from ray.util import metrics as rays

from deployments.observability.encoder_metrics import EncoderMetrics
from deployments.observability.gateway_metrics import GatewayMetrics

Told = dict[tuple[str, str | None], float]
TIMED = [0.0009, 0.001, 0.0025, 0.4, 60.0]  # seconds


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What gauges were last set to, by name and ``le``."""
    found: Told = {}
    real: Callable[..., None] = rays.Gauge.set

    def noting(self: Any, value: float, tags: dict[str, str] | None = None) -> None:
        found[self.info["name"], (tags or {}).get("le")] = value
        real(self, value, tags)

    monkeypatch.setattr(rays.Gauge, "set", noting)
    return found


def gateway(keep: bool) -> None:
    metrics = GatewayMetrics()
    metrics.keep_old_names(keep)
    metrics.keys_age.set(2.0)
    for seconds in TIMED:
        metrics.latency.observe(("m", "1", "text", "miss"), seconds)
    asyncio.run(metrics.flush())


def test_the_old_histogram_counts_in_milliseconds_what_the_new_one_counts_in_seconds(told: Told) -> None:
    gateway(keep=True)
    bucket = {le: value for (name, le), value in told.items() if name == "embedserve_request_latency_ms_bucket"}
    assert (bucket["1.0"], bucket["2.0"], bucket["3.0"]) == (2, 2, 3)
    assert (bucket["250.0"], bucket["500.0"], bucket["30000.0"], bucket["+Inf"]) == (3, 4, 4, 5)
    assert len(bucket) == 21
    assert told["embedserve_request_latency_ms_count", None] == 5
    assert told["embedserve_request_latency_ms_sum", None] == pytest.approx(1000 * sum(TIMED))
    assert told["embedserve_api_keys_age_s", None] == told["embedserve_api_keys_age_seconds", None] == 2


def test_the_old_histogram_is_told_again_without_new_requests_because_ray_forgets_gauges(told: Told) -> None:
    metrics = GatewayMetrics()
    metrics.latency.observe(("m", "1", "text", "miss"), 0.4)
    asyncio.run(metrics.flush())
    told.clear()
    asyncio.run(metrics.flush())
    assert told["embedserve_request_latency_ms_count", None] == 1


def test_nothing_is_told_under_an_old_name_that_is_switched_off(told: Told) -> None:
    gateway(keep=False)
    encoder = EncoderMetrics()
    encoder.keep_old_names(False)
    encoder.stage.observe(("m", "1", "queue"), 0.1)
    encoder.flush()
    assert told["embedserve_api_keys_age_seconds", None] == 2
    assert not [name for name, _ in told if "_ms" in name or name.endswith("_s")]


def test_encoders_keep_their_stages_under_the_old_name(told: Told) -> None:
    encoder = EncoderMetrics()
    encoder.stage.observe(("m", "1", "queue"), 0.1)
    encoder.flush()
    assert told["embedserve_stage_latency_ms_bucket", "75.0"] == 0
    assert told["embedserve_stage_latency_ms_bucket", "100.0"] == 1

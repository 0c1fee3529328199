"""Observations reach Ray once a second, a few at a time: requests pass between them, and none is lost."""

from __future__ import annotations

import asyncio

import pytest

from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.observability.histogram import Histogram

OF = ("m", "1", "text", "miss")


@pytest.mark.parametrize("times", [1, 10])
async def test_requests_pass_between_the_parts_of_a_second(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    metrics = GatewayMetrics()
    told: list[float] = []
    monkeypatch.setattr(metrics.latency._metric, "observe", lambda value, _: told.append(value))
    noted = [float(number) for number in range(times * Histogram.PART)]
    for value in noted:
        metrics.latency.observe(OF, value)
    seen: set[int] = set()

    async def others() -> None:
        while len(told) < len(noted):
            seen.add(len(told))
            await asyncio.sleep(0)

    await asyncio.gather(others(), metrics.flush())
    assert told == noted
    assert seen >= {part * Histogram.PART for part in range(times)}


async def test_what_comes_while_a_second_is_handed_over_is_handed_over_too(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = GatewayMetrics()
    told: list[float] = []
    monkeypatch.setattr(metrics.latency._metric, "observe", lambda value, _: told.append(value))
    for number in range(3 * Histogram.PART):
        metrics.latency.observe(OF, float(number))
    handing = asyncio.ensure_future(metrics.flush())
    await asyncio.sleep(0)
    metrics.latency.observe(OF, -1.0)
    await handing
    assert sorted(told) == [-1.0, *map(float, range(3 * Histogram.PART))]

from __future__ import annotations

import pytest

from deployments.operator.traffic_stats import TrafficStats, parse

EXPOSITION = """
# HELP ray_embedserve_requests_total x
# TYPE ray_embedserve_requests_total counter
ray_embedserve_requests_total{model="text-embedding",version="1.0.0",code="200",replica="a"} 90.0
ray_embedserve_requests_total{model="text-embedding",version="1.0.0",code="503",replica="b"} 10.0
ray_embedserve_request_duration_seconds_bucket{le="0.01",model="text-embedding",version="1.0.0"} 50.0
ray_embedserve_request_duration_seconds_bucket{le="0.02",model="text-embedding",version="1.0.0"} 100.0
ray_embedserve_request_duration_seconds_bucket{le="+Inf",model="text-embedding",version="1.0.0"} 100.0
ray_embedserve_items_total{model="text-embedding",version="1.0.0"} 7.0
ray_node_cpu_count{ip="x"} 2.0
"""


def test_what_every_replica_counted_is_added_up() -> None:
    counts = parse(EXPOSITION)["text-embedding@1.0.0"]
    assert (counts.answered, counts.failed) == (100, 10)
    assert counts.quantile_ms(0.5) == pytest.approx(10)
    assert counts.quantile_ms(0.99) == pytest.approx(19.8)


def test_inputs_that_were_refused_are_counted_apart() -> None:
    refused = EXPOSITION.replace('code="503"', 'code="400"')
    now = parse(refused)["text-embedding@1.0.0"]
    assert (now.failed, now.refused, (now + now).refused, now.since(now).refused) == (0, 10, 20, 0)


def test_counts_since_an_earlier_look_never_fall_below_nothing() -> None:
    now, before = parse(EXPOSITION)["text-embedding@1.0.0"], TrafficStats(answered=150)
    assert now.since(before).answered == 0
    assert now.since(now).quantile_ms(0.5) is None


def test_a_service_without_these_metrics_has_no_counts() -> None:
    assert parse('ray_node_cpu_count{ip="x"} 2.0\n# nothing\n') == {}

"""One text for Prometheus out of every node's, read back by Prometheus' own client."""

from __future__ import annotations

from collections import Counter
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Counted
from prometheus_client.parser import text_string_to_metric_families

from deployments.http.metrics import Merged


def exposition(node: str) -> str:
    registry = CollectorRegistry()
    Counted("ray_requests", "with \\ and\na line", ["node", "text"], registry=registry).labels(node, 'a"b\\c\nd').inc(3)
    Gauge("ray_queue", "waiting", ["node"], registry=registry).labels(node).set(float("inf"))
    Histogram("ray_latency", "ms", ["node"], buckets=(1, 2), registry=registry).labels(node).observe(1.5)
    return generate_latest(registry).decode()


A, B = exposition("a"), exposition("b")


def merge(texts: list[str]) -> str:
    merged = Merged()
    for text in texts:
        merged.add(text)
    return merged.text()


def read(text: str) -> tuple[dict[str, tuple[str, str]], Counter[Any]]:
    """Type and help of each family, and how often each sample is there."""
    families = list(text_string_to_metric_families(text))
    kinds = {family.name: (family.type, family.documentation) for family in families}
    assert len(kinds) == len(families), "a family stands in two places"
    samples = [(one.name, *sorted(one.labels.items()), one.value) for family in families for one in family.samples]
    return kinds, Counter(samples)


def test_the_samples_of_all_nodes_stand_under_one_head_a_family() -> None:
    texts = [A, B + "# TYPE ray_only_here gauge\nray_only_here 1.0\n"]
    text = merge(texts)
    kinds, samples = read(text)
    assert {text.count(f"# {keyword} ray_queue ") for keyword in ("HELP", "TYPE")} == {1}
    each = [read(text) for text in texts]
    assert kinds == {**each[0][0], **each[1][0]}
    assert samples == each[0][1] + each[1][1]


def test_one_node_speaks_for_itself() -> None:
    assert read(merge([A])) == read(A)


def test_a_node_that_did_not_answer_is_said_and_hides_nobody() -> None:
    text = merge([A, "# http://b:1/metrics did not answer: ConnectError\n"])
    assert "# http://b:1/metrics did not answer: ConnectError\n" in text
    assert read(text) == read(A)

"""Whoever reads the documentation finds every metric, with its labels; whoever knows Prometheus finds names as he expects."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from ray.util import metrics as rays

from deployments.observability.encoder_metrics import EncoderMetrics
from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.operator.kube.drift_gauge import COMPARED, DRIFT
from models.catalog.paths import ROOT
from tests.k8s.metrics import ONLY_AFTER_A_REFERENCE, selected

OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "deployments").rglob("*.py"))
FOUND = set(re.findall(r'"(embedserve_[a-z_]+)"', SOURCES))
NAMES = sorted(
    {re.sub("_(total|bucket)$", "", name) for name in FOUND}
)  # as they are registered, and as Prometheus reads them
OLD = "(old name)"  # what the help of a metric begins with that is exported under the name of the release before
UNITS = re.compile(r"_(?:ms|us|ns|s|sec|secs|minutes|hours|kb|mb|gb|kib|mib|gib|percent|pct|celsius_degrees)(?:_|$)")
HOLDERS = pytest.mark.parametrize("holder", [GatewayMetrics, EncoderMetrics], ids=["the gateway", "encoders"])


def registered(one: Any) -> Iterator[rays.Metric]:
    """The metrics that an object holds, however deep; as Ray knows them."""
    if isinstance(one, rays.Metric):
        yield one
    elif type(one).__module__.startswith(("deployments.", "ray.serve.metrics")):
        for value in vars(one).values():
            yield from registered(value)


def kind(metric: rays.Metric) -> str:
    return next(base.__name__.lower() for base in type(metric).__mro__ if base.__module__ == rays.__name__)


def exposition(metrics: list[rays.Metric]) -> str:
    """What Ray's exporter makes of them: a prefix, and ``_total`` after the names of counters."""
    lines = []
    for metric in metrics:
        what = kind(metric)
        name = f"ray_{metric.info['name']}" + ("_total" if what == "counter" else "")
        samples = ['_bucket{le="+Inf"} 1', "_sum 1", "_count 1"] if what == "histogram" else [" 1"]
        lines += [f"# HELP {name} {metric.info['description']}", f"# TYPE {name} {what}"]
        lines += [f"{name}{sample}" for sample in samples]
    return "\n".join(lines) + "\n"


def linted(text: str) -> str:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus): names were not checked by it")
    command = [promtool, "check", "metrics"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False).stderr


def test_there_are_metrics_to_look_for() -> None:
    assert len(NAMES) >= 15


@pytest.mark.parametrize("name", NAMES)
def test_operations_md_describes(name: str) -> None:
    assert f"\n| `{name}` |" in OPERATIONS


def test_no_metric_is_registered_outside_of_the_two_that_are_looked_at() -> None:
    known = {metric.info["name"] for holder in (GatewayMetrics(), EncoderMetrics()) for metric in registered(holder)}
    of_the_drift_exporter = {DRIFT, COMPARED}  # a process without Ray, whose test is beside it
    assert set(NAMES) - of_the_drift_exporter <= {re.sub("_(bucket|sum|count)$", "", name) for name in known}


@HOLDERS
def test_prometheus_own_linter_and_base_units_agree_with_the_names_of(holder: type) -> None:
    new = [metric for metric in registered(holder()) if not metric.info["description"].startswith(OLD)]
    assert len(new) >= 6
    assert linted(exposition(new)) == ""
    assert not [metric.info["name"] for metric in new if UNITS.search(metric.info["name"])]
    for metric in new:
        assert not metric.info["name"].endswith("_total"), "Ray adds it to a counter, and nothing else may have it"


def test_the_linter_would_notice_the_old_names() -> None:
    old = [metric for metric in registered(GatewayMetrics()) if metric.info["description"].startswith(OLD)]
    assert [metric.info["name"] for metric in old if UNITS.search(metric.info["name"])]
    assert "request_latency_ms" in linted(exposition(old))


@HOLDERS
def test_the_labels_in_operations_md_are_those_of(holder: type) -> None:
    metrics = [one for one in registered(holder()) if not one.info["description"].startswith(OLD)]
    assert len(metrics) >= 4
    for metric in metrics:
        info = metric.info
        (row,) = re.findall(rf"^\| `{info['name']}` \|[^|]*\|([^|]*)\|", OPERATIONS, re.MULTILINE)
        labels = re.findall(r"\w+", re.sub(r":.*", "", re.sub(r"`\w+`,?", "", row)))
        assert labels == list(info["tag_keys"]), info["name"]


def test_alerts_of_drift_read_what_encoders_export() -> None:
    known = {f"ray_{one.info['name']}": set(one.info["tag_keys"]) for one in registered(EncoderMetrics())}
    assert set(known) >= ONLY_AFTER_A_REFERENCE
    for name in ONLY_AFTER_A_REFERENCE & selected().keys():
        assert selected()[name] <= known[name]

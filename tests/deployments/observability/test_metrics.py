"""Whoever reads the documentation finds every metric, with its labels."""

from __future__ import annotations

import re

import pytest

from deployments.observability.encoder_metrics import EncoderMetrics
from deployments.observability.gateway_metrics import GatewayMetrics
from models.catalog.catalog import ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "deployments").rglob("*.py"))
FOUND = set(re.findall(r'"(embedserve_[a-z_]+)"', SOURCES))
NAMES = sorted(
    {re.sub("_(total|bucket)$", "", name) for name in FOUND}
)  # as they are registered, and as Prometheus reads them


def test_there_are_metrics_to_look_for() -> None:
    assert len(NAMES) >= 15


@pytest.mark.parametrize("name", NAMES)
def test_operations_md_describes(name: str) -> None:
    assert f"\n| `{name}` |" in OPERATIONS


@pytest.mark.parametrize("registered", [GatewayMetrics, EncoderMetrics], ids=["the gateway", "encoders"])
def test_the_labels_in_operations_md_are_those_of(registered: type) -> None:
    public = [one for name, one in vars(registered()).items() if not name.startswith("_")]
    infos = [(one if hasattr(one, "info") else one._metric).info for one in public]
    assert len(infos) >= 4
    for info in infos:
        (row,) = re.findall(rf"^\| `{info['name']}` \|[^|]*\|([^|]*)\|", OPERATIONS, re.MULTILINE)
        labels = re.findall(r"\w+", re.sub(r":.*", "", re.sub(r"`\w+`,?", "", row)))
        assert labels == list(info["tag_keys"]), info["name"]

"""What stands in front of the service waits as long as the service may take, and lets through whatever it takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from deployments.config.gateway import GatewayConfig
from tests.k8s.tools import ROOT, Manifest, built_beside, only

ANNOTATION = "nginx.ingress.kubernetes.io/"


def longest_s(config: GatewayConfig) -> float:
    """The longest deadline that any request gets."""
    return max(config.queue.timeout_s, config.queue.timeout_most_s)


def gateway_of(resources: list[Manifest]) -> GatewayConfig:
    """The configuration of the gateway in a built overlay."""
    applications = yaml.safe_load(only(resources, "RayService")["spec"]["serveConfigV2"])["applications"]
    (told,) = [
        one["user_config"] for app in applications for one in app.get("deployments", []) if one["name"] == "Gateway"
    ]
    return GatewayConfig.model_validate(told)


@pytest.mark.parametrize(("overlay", "component"), [("gpu", "tls"), ("ha", "tls-ha")])
def test_an_ingress_waits_longer_than_any_deadline_and_takes_any_body(
    tmp_path: Path, overlay: str, component: str
) -> None:
    resources = built_beside(
        tmp_path, {"resources": [f"../{overlay}"], "components": [f"../../components/{component}"]}
    )
    told, config = only(resources, "Ingress")["metadata"]["annotations"], gateway_of(resources)
    assert float(told[f"{ANNOTATION}proxy-read-timeout"]) > longest_s(config)
    assert int(told[f"{ANNOTATION}proxy-body-size"].removesuffix("m")) * 2**20 >= config.limits.body_bytes


def test_the_shown_tls_configuration_waits_longer_than_any_deadline() -> None:
    text = (ROOT / "docs" / "haproxy-tls.cfg").read_text(encoding="utf-8")
    (seconds,) = re.findall(r"^ *timeout server (\d+)s", text, re.MULTILINE)
    assert float(seconds) > longest_s(GatewayConfig.model_validate({"models": {}}))

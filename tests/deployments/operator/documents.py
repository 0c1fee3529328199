"""Configuration documents to change."""

from __future__ import annotations

import copy
from typing import Any

import yaml

from models.catalog.paths import ROOT

SHIPPED: dict[str, Any] = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
TEXT = "text-embedding"


def one_version() -> dict[str, Any]:
    """The shipped document."""
    return copy.deepcopy(SHIPPED)


def with_decoder() -> dict[str, Any]:
    """The shipped document with a decoder beside the image encoder, listed first."""
    document = one_version()
    app = document["applications"][2]
    app["args"]["decode"] = "separate"
    app["deployments"].insert(0, {"name": "Decoder", "ray_actor_options": {"num_cpus": 1}})
    return document


def two_versions(first: float = 100, second: float = 0) -> dict[str, Any]:
    """The shipped document with text-embedding@1.1.0 beside 1.0.0."""
    document = one_version()
    app = copy.deepcopy(document["applications"][1])
    app["name"] = "text-embedding--1-1-0"
    app["args"]["model"] = app["deployments"][0]["user_config"]["artifact"] = "text-embedding@1.1.0"
    document["applications"].append(app)
    table = document["applications"][0]["deployments"][0]["user_config"]["models"][TEXT]
    table["versions"] = {"1.0.0": first, "1.1.0": second}
    return document

"""Configurations that the services of tests run with: the shipped one, changed."""

from __future__ import annotations

from typing import Any

import yaml

from models.catalog.paths import ROOT

Document = dict[str, Any]


def shipped() -> Document:
    """`serve_config.yaml`."""
    document: Document = yaml.safe_load((ROOT / "serve_config.yaml").read_text(encoding="utf-8"))
    return document


def application(document: Document, name: str) -> Document:
    """An application by its name."""
    found: Document = next(app for app in document["applications"] if app["name"] == name)
    return found


def user_config(document: Document, name: str = "gateway") -> Document:
    """What an application's first deployment is configured with."""
    config: Document = application(document, name)["deployments"][0]["user_config"]
    return config


def keep_only(document: Document, modality: str) -> None:
    """Leave one modality: the gateway and the encoder of its first version."""
    model = f"{modality}-embedding"
    document["applications"] = [a for a in document["applications"] if a["name"] in ("gateway", f"{model}--1-0-0")]
    config = user_config(document)
    config["models"] = {model: config["models"][model]}
    config["aliases"] = {alias: name for alias, name in config["aliases"].items() if name == model}
    del config["towers"]


def drop_text_tower(document: Document) -> None:
    """Leave out the version that the shipped configuration lets sleep."""
    document["applications"] = [a for a in document["applications"] if a["name"] != "clip-text-embedding--1-0-0"]
    config = user_config(document)
    del config["models"]["clip-text-embedding"], config["towers"]


def fix_replicas(document: Document, count: int) -> None:
    """So many replicas of everything, whatever comes; what sleeps gets them when it is asked."""
    for app in document["applications"]:
        scaling = app["deployments"][0]["autoscaling_config"]
        scaling.update(min_replicas=min(scaling["min_replicas"], 1) * count, max_replicas=count)

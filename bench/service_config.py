"""The configuration that the bench serves: the project's own, with every version of the catalogue on one replica."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from deployments.config.names import GATEWAY_APPLICATION, application_name
from models.catalog.catalog import ROOT, Catalog, ModelSpec


def bench_config(document: dict[str, Any], specs: list[ModelSpec]) -> dict[str, Any]:
    """Give every routed model's versions an application and one replica each.

    One replica, because a machine that also runs the load generator has no cores for a second, and a replica that
    starts in the middle of a measurement would be measured too.

    Args:
        document: serve_config.yaml.
        specs: the catalogue's entries.
    """
    changed = copy.deepcopy(document)
    applications: list[dict[str, Any]] = changed["applications"]
    by_name = {app["name"]: app for app in applications}
    routes = by_name[GATEWAY_APPLICATION]["deployments"][0]["user_config"]["models"]
    for spec in specs:
        name = application_name(spec.model, spec.version)
        if spec.model not in routes or name in by_name:
            continue
        first = application_name(spec.model, next(iter(routes[spec.model]["versions"])))
        app = copy.deepcopy(by_name[first])
        app["name"], app["args"]["model"] = name, spec.reference
        app["deployments"][0]["user_config"]["artifact"] = spec.reference
        applications.append(app)
        by_name[name] = app
        routes[spec.model]["versions"][spec.version] = 0
    for app in applications:
        for deployment in app["deployments"]:
            deployment["autoscaling_config"].update(min_replicas=1, max_replicas=1)
    return changed


def measured() -> list[ModelSpec]:
    """The catalogue's entries of the models that serve_config.yaml routes: what is served and measured."""
    document = yaml.safe_load((ROOT / "serve_config.yaml").read_text(encoding="utf-8"))
    gateway = next(app for app in document["applications"] if app["name"] == GATEWAY_APPLICATION)
    return [spec for spec in Catalog.load().specs() if spec.model in gateway["deployments"][0]["user_config"]["models"]]


def write_config(target: Path) -> None:
    """Write the configuration that ``embedserve up --config`` takes."""
    document = yaml.safe_load((ROOT / "serve_config.yaml").read_text(encoding="utf-8"))
    target.write_text(yaml.safe_dump(bench_config(document, measured()), sort_keys=False), encoding="utf-8")

"""This service as its users start it; the benchmark serves every version of the catalogue on one replica each."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from bench.systems.server import Server
from deployments.cluster.applications import sleeps
from deployments.cluster.ports import free_port
from deployments.config.names import GATEWAY_APPLICATION, application_name
from models.catalog.catalog import Catalog
from models.catalog.model_spec import ModelSpec
from models.catalog.paths import ROOT
from models.catalog.store import pull
from models.engine.openvino import bf16_refusal
from models.graph.precision import precision_of


def bench_config(document: dict[str, Any], specs: list[ModelSpec]) -> dict[str, Any]:
    """Give every routed model's versions an application and one replica each.

    One replica, because a machine that also runs the load generator has no cores for a second, and a replica that
    starts in the middle of a measurement would be measured too.

    Args:
        document: serve_config.yaml.
        specs: the catalogue's entries.
    """
    changed = copy.deepcopy(document)
    for app in changed["applications"]:
        for deployment in app["deployments"]:
            deployment.get("user_config", {}).pop("precision", None)  # each version is measured as what it is
    applications: list[dict[str, Any]] = changed["applications"]
    by_name = {app["name"]: app for app in applications}
    routes = by_name[GATEWAY_APPLICATION]["deployments"][0]["user_config"]["models"]
    for spec in specs:
        name = application_name(spec.model, spec.version)
        if spec.model not in routes or name in by_name:
            continue
        first = application_name(spec.model, next(iter(routes[spec.model]["versions"])))
        applications.append(encoder_of(by_name[first], spec.model, spec.version))
        by_name[name] = applications[-1]
        routes[spec.model]["versions"][spec.version] = 0
    one_replica(changed)
    return changed


def encoder_of(application: dict[str, Any], model: str, version: str) -> dict[str, Any]:
    """An encoder's application, copied for another version of its model."""
    copied, reference = copy.deepcopy(application), f"{model}@{version}"
    copied["name"], copied["args"]["model"] = application_name(model, version), reference
    told = copied["deployments"][0]["user_config"]
    told["artifact"] = reference
    told.pop("precision", None)  # measured as what it is, also where another artifact would be faster
    return copied


def one_replica(document: dict[str, Any]) -> None:
    """Give every deployment of a configuration exactly one replica; one that sleeps gets it when it is asked."""
    for app in document["applications"]:
        for deployment in app["deployments"]:
            scaling = deployment["autoscaling_config"]
            scaling.update(min_replicas=min(scaling.get("min_replicas", 1), 1), max_replicas=1)


def whole(checkout: Path = ROOT) -> dict[str, Any]:
    """The serve_config.yaml of a checkout."""
    document: dict[str, Any] = yaml.safe_load((checkout / "serve_config.yaml").read_text(encoding="utf-8"))
    return document


def shipped(checkout: Path = ROOT) -> dict[str, Any]:
    """The serve_config.yaml of a checkout without what sleeps until it is asked: that is not measured."""
    document = whole(checkout)
    document["applications"] = [app for app in document["applications"] if not any(map(sleeps, app["deployments"]))]
    kept = {app["args"].get("model", "").partition("@")[0] for app in document["applications"]}
    config = document["applications"][0]["deployments"][0]["user_config"]
    config["models"] = {model: routes for model, routes in config["models"].items() if model in kept}
    config.pop("towers", None)  # whose names need all of their models
    return document


def measured() -> list[ModelSpec]:
    """The catalogue's entries that are measured: the precisions of what serve_config.yaml routes, except those that this processor does not compute and variants for cards."""
    gateway = next(app for app in shipped()["applications"] if app["name"] == GATEWAY_APPLICATION)
    routed = gateway["deployments"][0]["user_config"]["models"]
    weights = {(model, _weights(version)) for model, routes in routed.items() for version in routes["versions"]}
    specs = [s for s in Catalog.load().specs() if (s.model, _weights(s.version)) in weights and s.variant is None]
    return [spec for spec in specs if not precision_of(spec.precision).bf16 or bf16_refusal() is None]


def _weights(version: str) -> str:
    """What versions of the same weights have in common: the first number."""
    return version.partition(".")[0]


def text_tokenizer() -> Path:
    """The tokenizer.json of the text models, which is fetched where it is missing."""
    tokenizer = pull(next(spec for spec in measured() if spec.type == "text"), allow_synthetic=True).tokenizer
    assert tokenizer
    return tokenizer


def start(folder: Path) -> Server:
    """Start it with the benchmark's configuration; its HAProxy counts the requests."""
    statistics = free_port()
    environment = {"RAY_SERVE_HAPROXY_METRICS_PORT": str(statistics)}
    server = up("ours", bench_config(shipped(), measured()), folder, environment)
    server.statistics_port = statistics
    return server


DEFAULT = {"text-embedding": "text", "image-embedding": "image"}  # what serve_config.yaml serves, and of which modality


def start_default(folder: Path) -> Server:
    """Start what `make run` starts, one replica of each deployment: one version a model, in the precision that it chooses."""
    document = whole()
    one_replica(document)
    return up("default", document, folder)


def chosen(server: Server, model: str) -> ModelSpec:
    """The catalogue's entry that a running service computes a model with."""
    listed = json.loads(server.get("/v1/models"))["data"]
    precision = next(entry["precision"] for entry in listed if entry["id"].startswith(f"{model}@"))
    return next(spec for spec in measured() if spec.model == model and spec.precision == precision)


def up(
    name: str,
    document: dict[str, Any],
    folder: Path,
    environment: dict[str, str] | None = None,
    checkout: Path | None = None,
) -> Server:
    """``embedserve up`` with a configuration, on a free port, beside whatever else runs on this machine.

    Args:
        name: of the server in messages, and of its log.
        document: the configuration.
        folder: for the configuration and the log.
        environment: variables to set.
        checkout: another checkout, whose own ``.venv`` runs; this one when left out.
    """
    config, port = folder / "serve_config.yaml", free_port()
    config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    program = checkout / ".venv/bin/embedserve" if checkout else Path(sys.executable).with_name("embedserve")
    command = [str(program), "up", "--beside", "--port", str(port), "--config", str(config)]
    # Without PYTHONPATH, or Ray's workers might import the code of one checkout for the service of another.
    variables: dict[str, str | None] = {"PYTHONPATH": None, **(environment or {})}
    return Server(name, command, port, folder / f"{name}.log", variables, checkout or ROOT)

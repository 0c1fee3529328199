"""The changes that operators make, as pure functions from one configuration document to the next."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from deployments.config.names import application_name
from deployments.operator.document import (
    Document,
    artifacts,
    encoder,
    encoders,
    gateway,
    require_routed,
    routes,
    split,
    user_config,
)
from models.errors import ConfigError

Operation = Callable[[Document], Document]


def swap(document: Document, reference: str, artifact: str, digest: str | None = None) -> Document:
    """Let a version load another artifact under the same label.

    A ``hash`` in its ``user_config`` becomes that of the new artifact; an artifact that is a path gets one in any case.

    Raises:
        ConfigError: its ``user_config`` holds a hash, and that of the new artifact is not known.
    """
    model, version = split(reference)
    require_routed(document, model, version)
    target = copy.deepcopy(document)
    config = user_config(encoder(target, model, version))
    pinned = config.pop("hash", None) is not None
    config["artifact"] = artifact
    if pinned and not digest:
        raise ConfigError(
            f"{reference} is pinned to a hash, and that of {artifact} is not known with --no-check: --hash says it"
        )
    if digest and (pinned or "@" not in artifact):
        config["hash"] = digest
    return target


def route(document: Document, model: str, weights: Mapping[str, float], shadow: Mapping[str, float]) -> Document:
    """Share traffic: versions that are not named get weight 0; a shadow of 0 percent ends."""
    for version in [*weights, *shadow]:
        require_routed(document, model, version)
    target = copy.deepcopy(document)
    table = routes(target, model)
    if weights:
        if sum(weights.values()) <= 0:
            raise ConfigError(f"at least one version of {model} needs a weight above 0")
        table["versions"] = {version: weights.get(version, 0) for version in table["versions"]}
    _set_shadow(table, {**table.get("shadow", {}), **shadow})
    return target


def promote(document: Document, reference: str) -> Document:
    """Give one version all traffic; it stops being a shadow."""
    model, version = split(reference)
    target = route(document, model, {version: 100}, {})
    table = routes(target, model)
    _set_shadow(table, {name: percent for name, percent in table.get("shadow", {}).items() if name != version})
    return target


def add(document: Document, reference: str) -> Document:
    """Deploy one more version in the shape of its most used sibling, with weight 0."""
    model, version = split(reference)
    target = copy.deepcopy(document)
    table = routes(target, model)
    present = dict(encoders(target, model))
    if version in table["versions"] and version in present:
        raise ConfigError(f"{reference} is served already; `embedserve route` changes its share")
    if version not in present:
        if not present:
            raise ConfigError(f"no version of {model} has an application to copy; write one in serve_config.yaml")
        sibling = max(present, key=lambda name: table["versions"].get(name, -1))
        target["applications"].append(_application(present[sibling], model, version))
    table["versions"].setdefault(version, 0)
    return target


def _application(sibling: Mapping[str, Any], model: str, version: str) -> dict[str, Any]:
    app: dict[str, Any] = copy.deepcopy(dict(sibling))
    app["name"] = application_name(model, version)
    app["args"]["model"] = f"{model}@{version}"
    config = user_config(app)
    config["artifact"] = f"{model}@{version}"
    config.pop("hash", None)
    return app


def remove(document: Document, reference: str, *, drain: bool) -> Document:
    """Take a version away; with ``drain`` also one that has traffic, whose share goes to the other versions."""
    model, version = split(reference)
    require_routed(document, model, version)
    target = copy.deepcopy(document)
    table = routes(target, model)
    weight = table["versions"].pop(version)
    _require_unused(target, reference)
    if sum(table["versions"].values()) <= 0:
        raise ConfigError(f"{reference} is the only version of {model} with traffic; route to another one first")
    if weight > 0 and not drain:
        raise ConfigError(
            f"{reference} has weight {weight:g}; set it to 0 with `embedserve route` first, or say --drain to give its "
            "share to the other versions"
        )
    _set_shadow(table, {name: percent for name, percent in table.get("shadow", {}).items() if name != version})
    name = encoder(target, model, version)["name"]
    target["applications"] = [app for app in target["applications"] if app["name"] != name]
    return target


def _require_unused(document: Document, reference: str) -> None:
    model, version = split(reference)
    table = routes(document, model)
    uses = [f"alias {alias!r}" for alias, to in gateway(document).get("aliases", {}).items() if to == reference]
    uses += ["an override" for override in table.get("overrides", []) if override.get("version") == version]
    uses += ["the fallback"] if table.get("fallback") == version else []
    if uses:
        raise ConfigError(f"{uses[0]} points at {reference}; change that in serve_config.yaml and deploy it first")


def past_of(document: Document, model: str) -> dict[str, Any]:
    """A model's routing and artifacts before its last change, as ``remember`` kept them.

    Raises:
        ConfigError: there is none.
    """
    routes(document, model)
    past: dict[str, Any] | None = gateway(document).get("previous", {}).get(model)
    if not past:
        raise ConfigError(
            f"the cluster remembers no earlier state of {model}: none of these commands changed it since the last "
            "`serve deploy` or start; `embedserve swap` and `embedserve route` set it by hand"
        )
    return past


def rollback(document: Document, model: str, past: Mapping[str, Any]) -> Document:
    """Give a model the routing and artifacts that it had before."""
    target = copy.deepcopy(document)
    table = routes(target, model)
    table["versions"] = copy.deepcopy(past["versions"])
    _set_shadow(table, past.get("shadow", {}))
    present = dict(encoders(target, model))
    for version, artifact in past["artifacts"].items():
        if version not in present:
            kept = past.get("applications", {}).get(version)
            present[version] = copy.deepcopy(kept) or _application(next(iter(present.values())), model, version)
            target["applications"].append(present[version])
        config = user_config(present[version])
        config["artifact"] = artifact
        config.pop("hash", None)
        if version in past.get("hashes", {}):
            config["hash"] = past["hashes"][version]
    gone = {app["name"] for version, app in present.items() if version not in past["artifacts"]}
    target["applications"] = [app for app in target["applications"] if app["name"] not in gone]
    return target


def remember(current: Document, target: Document, model: str) -> Document:
    """The target, with what ``rollback`` needs to return a model to its current state."""
    table = routes(current, model)
    kept = dict(encoders(target, model))
    past: dict[str, Any] = {"versions": dict(table["versions"]), "artifacts": artifacts(current, model)}
    if table.get("shadow"):
        past["shadow"] = dict(table["shadow"])
    hashes = {v: user_config(app)["hash"] for v, app in encoders(current, model) if user_config(app).get("hash")}
    if hashes:
        past["hashes"] = hashes
    dropped = {version: copy.deepcopy(app) for version, app in encoders(current, model) if version not in kept}
    if dropped:
        past["applications"] = dropped
    result = copy.deepcopy(target)
    gateway(result).setdefault("previous", {})[model] = past
    return result


def _set_shadow(table: dict[str, Any], shadow: Mapping[str, float]) -> None:
    wanted = {version: percent for version, percent in shadow.items() if percent > 0}
    table.pop("shadow", None)
    if wanted:
        table["shadow"] = wanted

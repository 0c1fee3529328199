"""A change in a few lines: what becomes different for whom. The whole of it is the diff of the configuration."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from deployments.cluster import applications
from deployments.cluster.applications import main_deployments
from deployments.operator.document import Document, artifacts, encoders, gateway, user_config
from deployments.operator.plan import visible

NEW, GONE, OTHER = "+", "-", "~"
SCALES = ("min_replicas", "max_replicas")


def summary(before: Document, after: Document) -> list[str]:
    """The lines, each of which begins with ``+`` (something new), ``-`` (something gone) or ``~`` (something different).

    A last line says that there is more, where there is.
    """
    old, new = gateway(before)["models"], gateway(after)["models"]
    lines: list[str] = []
    for model in dict.fromkeys([*old, *new, *_named(before), *_named(after)]):
        lines += _versions(before, after, model)
        lines += _traffic(model, old.get(model), new.get(model))
    lines += _names(gateway(before).get("aliases") or {}, gateway(after).get("aliases") or {})
    if _rest(before, after) != _rest(after, before):
        lines.append(f"{OTHER} other settings: --verbose shows them")
    return lines


def _versions(before: Document, after: Document, model: str) -> Iterator[str]:
    """What computes."""
    old, new = artifacts(before, model), artifacts(after, model)
    scaled = {name: _replicas(app) for name, app in encoders(before, model)}
    for version, app in encoders(after, model):
        reference, count = f"{model}@{version}", _replicas(app)
        if version not in old:
            yield f"{NEW} {reference}: loaded from {new[version]}, {count}"
            continue
        if old[version] != new[version]:
            yield f"{OTHER} {reference}: {old[version]} → {new[version]}, beside each other until the new one is proved"
        if scaled[version] != count:
            yield f"{OTHER} {reference}: {scaled[version]} → {count}"
    yield from (f"{GONE} {model}@{version}: unloaded" for version in old if version not in new)


def _traffic(model: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Iterator[str]:
    """Who is answered by what."""
    if old is None or new is None:
        if new is not None:
            yield f"{NEW} requests for {model}: {_shares({}, new['versions'])}"
        elif old is not None:
            yield f"{GONE} requests for {model}: answered with 404"
        return
    if old["versions"] != new["versions"]:
        yield f"{OTHER} requests for {model}: {_shares(old['versions'], new['versions'])}"
    copies = ((table.get("shadow") or {}) for table in (old, new))
    before, after = copies
    if before != after:
        yield f"{OTHER} copies of requests for {model}: {_changes(before, after)}"


def _shares(old: Mapping[str, float], new: Mapping[str, float]) -> str:
    return _changes(_percent(old), _percent(new))


def _percent(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values()) or 1
    return {version: 100 * weight / total for version, weight in weights.items()}


def _changes(old: Mapping[str, float], new: Mapping[str, float]) -> str:
    """Percentages by version, before and after."""
    parts = []
    for version in dict.fromkeys([*old, *new]):
        before, after = (f"{shares[version]:.3g} %" if version in shares else "none" for shares in (old, new))
        parts.append(f"{version} {before}" if before == after else f"{version} {before} → {after}")
    return ", ".join(parts)


def _names(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield f"{OTHER} the name {name}: {old.get(name, 'unknown')} → {new.get(name, 'unknown')}"


def _named(document: Document) -> list[str]:
    """The models that have applications."""
    return [str(app["args"]["model"]).partition("@")[0] for app in applications.encoders(document)]


def _replicas(app: Mapping[str, Any]) -> str:
    deployment = main_deployments(app)[0]
    scaling = deployment.get("autoscaling_config")
    if scaling is None:
        count = deployment.get("num_replicas", 1)
        return f"{count} replica{'' if count == 1 else 's'}"
    least, most = (scaling.get(key, 1) for key in SCALES)
    return f"{least} to {most} replicas"


def _rest(document: Document, other: Document) -> Document:
    """What none of the lines tells of what both documents have."""
    rest = copy.deepcopy(visible(document))
    config = gateway(rest)
    config.pop("aliases", None)
    config["models"] = {name: table for name, table in config["models"].items() if name in gateway(other)["models"]}
    for table in config["models"].values():
        table.pop("versions")
        table.pop("shadow", None)
    both = {app["name"] for app in other["applications"]}
    rest["applications"] = [app for app in rest["applications"] if app["name"] in both]
    for app in applications.encoders(rest):
        deployment = main_deployments(app)[0]
        deployment.pop("num_replicas", None)
        for key in (*SCALES, "initial_replicas"):
            (deployment.get("autoscaling_config") or {}).pop(key, None)
        model, _, version = app["args"]["model"].partition("@")
        if artifacts(document, model)[version] != artifacts(other, model)[version]:  # its hash follows
            user_config(app).pop("hash", None)
        user_config(app).pop("artifact", None)
    return rest

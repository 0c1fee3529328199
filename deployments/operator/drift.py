"""Where what Serve runs differs from what a manifest says. Pure functions."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import yaml

from deployments.config.routes import shares
from deployments.operator.document import Document, encoders, gateway, user_config
from deployments.operator.plan import visible
from deployments.operator.served import Entry


def drift(manifest: Document, running: Document) -> list[str]:
    """The lines in which a running document differs from the manifest's, as a unified diff; empty where it does not.

    Applications are compared. What Serve leaves out of its reports (keys whose value is null), and what it cannot
    change while it runs (where it listens), are not.
    """
    old, new = (_lines(document) for document in (manifest, running))
    return list(difflib.unified_diff(old, new, "manifest", "running", lineterm="", n=2))


def drift_of_versions(manifest: Document, entries: Iterable[Entry]) -> list[str]:
    """The same from what the gateway says of itself: versions, shares, and artifacts whose hash the manifest names."""
    said = {str(entry["id"]): entry for entry in entries}
    wanted: dict[str, float] = {}
    pinned: dict[str, str] = {}
    for model, table in gateway(manifest)["models"].items():
        wanted |= {f"{model}@{version}": share for version, share in shares(table["versions"]).items()}
        for version, app in encoders(manifest, model):
            pinned[f"{model}@{version}"] = user_config(app).get("hash") or ""
    lines = [f"{reference} is served, and not in the manifest" for reference in sorted(said.keys() - wanted.keys())]
    for reference, share in wanted.items():
        entry = said.get(reference)
        if entry is None:
            lines.append(f"{reference} is in the manifest, and not served")
            continue
        if abs(entry["share"] - share) > 1e-6:
            lines.append(f"{reference} has {entry['share']:.0%} of the traffic, {share:.0%} in the manifest")
        if pinned.get(reference) and entry.get("hash") and entry["hash"] != pinned[reference]:
            lines.append(f"{reference} serves {entry['hash'][:12]}, {pinned[reference][:12]} in the manifest")
    return lines


def _lines(document: Document) -> list[str]:
    applications = _without_nulls(visible(document)["applications"])
    return str(yaml.safe_dump(applications, sort_keys=True, default_flow_style=None, width=120)).splitlines()


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value

"""Import paths of earlier versions, which configurations may still name, and what took their place."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from models.errors import ConfigError

BUILDERS, POLICIES = "deployments.apps.builders", "deployments.autoscaling.policies"
CALLBACK_VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"

RENAMED: Mapping[str, str] = {
    "deployments.app:gateway": f"{BUILDERS}:gateway",
    "deployments.app:text_encoder": f"{BUILDERS}:encoder",
    "deployments.app:image_encoder": f"{BUILDERS}:encoder",
    **{
        f"deployments.autoscaling:{policy}": f"{POLICIES}:{policy}"
        for policy in ("GatewayPolicy", "TextPolicy", "ImageCpuPolicy", "ImageGpuPolicy")
    },
    "deployments.http.envelope:middlewares": "deployments.serve_internals.http_hook:middlewares",
}


def moved() -> str:
    """Every path that has moved, for who meets one of them in Ray: the others are a line away in the same file."""
    pairs = ", ".join(f"{new} instead of {old}" for old, new in RENAMED.items())
    return f"import paths have moved: write {pairs} (the last one in {CALLBACK_VARIABLE} of every Ray node)"


def refuse_old_paths(document: dict[str, Any], where: str) -> None:
    """Refuse a document with import paths of an earlier version.

    Raises:
        ConfigError: says for each what to write instead.
    """
    changes = [f"{old} to {RENAMED[old]}" for old in dict.fromkeys(_paths(document)) if old in RENAMED]
    if changes:
        raise ConfigError(f"{where} is of an earlier version, import paths have moved: change {', '.join(changes)}")


def refuse_old_variable() -> None:
    """Refuse an environment that names an import path of an earlier version.

    Raises:
        ConfigError: says what to set instead.
    """
    value = os.environ.get(CALLBACK_VARIABLE, "")
    if value in RENAMED:
        raise ConfigError(f"the environment is of an earlier version: set {CALLBACK_VARIABLE}={RENAMED[value]}")


def _paths(document: dict[str, Any]) -> Iterator[str]:
    """Every import path of a document that nobody has checked yet."""
    for app in _mappings(document.get("applications")):
        yield str(app.get("import_path"))
        for deployment in _mappings(app.get("deployments")):
            scaling = deployment.get("autoscaling_config")
            policy = scaling.get("policy") if isinstance(scaling, dict) else None
            if isinstance(policy, dict):
                yield str(policy.get("policy_function"))


def _mappings(items: Any) -> Iterator[dict[str, Any]]:
    return (item for item in items if isinstance(item, dict)) if isinstance(items, list) else iter(())

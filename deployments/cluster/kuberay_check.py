"""The check of a RayService or RayJob against KubeRay's own definition: the API server drops what that does not know, often without a word."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from deployments.cluster.kuberay_rules import broken_rules
from models.errors import ConfigError
from models.redaction import redacted
from models.validation import unknown_key

# By kind; made by scripts/kuberay_schema.py, of KubeRay 1.7.
SCHEMAS = {kind: Path(__file__).with_name(f"{kind.lower()}.schema.json") for kind in ("RayService", "RayJob")}
CLUSTERS = ("rayClusterConfig", "rayClusterSpec")  # what they call the cluster in their spec
MOST = 5  # problems that one message names
DIRECTIVE = "$"  # begins keys of strategic merge patches


@functools.cache
def validator(kind: str) -> Draft202012Validator:
    """The strict schema of a kind."""
    return Draft202012Validator(json.loads(SCHEMAS[kind].read_text(encoding="utf-8")))


def check_kuberay(resource: dict[str, Any], where: str) -> None:
    """Check every key of a RayService or RayJob, or of a patch for one, which may leave out what is required.

    Raises:
        ConfigError: names each wrong key with its path, and the nearest that is allowed.
    """
    found = list(problems(resource))
    if not found and resource.get("kind") == "RayService" and whole(resource):
        found = list(broken_rules(resource))
    if found:
        more = f"; and {len(found) - MOST} more" if len(found) > MOST else ""
        raise ConfigError(f"{where}: {'; '.join(found[:MOST])}{more}")


def problems(resource: dict[str, Any]) -> Iterator[str]:
    """What KubeRay's definition has against a RayService or RayJob, each problem with its path."""
    patch = not whole(resource)
    for error in sorted(
        validator(resource.get("kind", "RayService")).iter_errors(resource),
        key=lambda error: list(map(str, error.absolute_path)),
    ):
        if patch and (error.validator == "required" or _of_several_keys(error) or error.instance is None):
            continue
        yield from _told(error, patch)


def whole(resource: dict[str, Any]) -> bool:
    """Whether it is a manifest, and no patch, which leaves the head to the one that it changes."""
    spec = resource.get("spec") or {}
    clusters = [spec.get(name) for name in CLUSTERS]
    return "apiVersion" in resource and any(isinstance(one, dict) and "headGroupSpec" in one for one in clusters)


def _of_several_keys(error: ValidationError) -> bool:
    """Whether a rule of the definition asks for keys of which a patch may have some and the manifest the others."""
    return "title" in error.schema and error.validator in ("anyOf", "not")


def _told(error: ValidationError, patch: bool) -> Iterator[str]:
    place = _path(error.absolute_path)
    if "title" in error.schema:  # a rule, in the definition's own words
        yield f"{place}: {error.schema['title'].rstrip('.')}, not {_shown(error.instance)}"
    elif error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        for name in sorted(set(error.instance) - set(known)):
            if not (patch and str(name).startswith(DIRECTIVE)):
                yield unknown_key(_path([*error.absolute_path, name]), str(name), known)
    elif error.validator == "anyOf":
        yield f"{place} must be a whole number or text, not {_shown(error.instance)}"
    elif error.validator == "type":
        wanted = error.validator_value if isinstance(error.validator_value, str) else " or ".join(error.validator_value)
        yield f"{place} must be of type {wanted}, not {_shown(error.instance)}"
    elif error.validator in ("enum", "const"):
        allowed = error.validator_value if error.validator == "enum" else [error.validator_value]
        yield f"{place} must be {' or '.join(map(repr, allowed))}, not {_shown(error.instance)}"
    else:
        yield f"{place}: {redacted(error.message)[:200]}"


def _path(parts: Iterable[str | int]) -> str:
    """As kubectl writes it: ``spec.rayClusterConfig.workerGroupSpecs[0].groupName``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".") or "the document"


def _shown(value: Any) -> str:
    return f"{redacted(repr(value)):.80}"

"""The Serve configuration inside of a RayService manifest, or of a patch for one, as text among text."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deployments.cluster.preload_key import PRELOAD
from models.errors import ConfigError

KEY = "serveConfigV2"
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")


@dataclass(frozen=True)
class Embedded:
    """A Serve configuration, and where it stands in the text of a file."""

    service: str  # the RayService's name; empty in a JSON patch, which names none
    config: str
    start: int  # characters
    end: int
    indent: int  # columns of its lines
    resource: dict[str, Any]  # the RayService, as far as the file has it

    def replaced(self, text: str, config: str) -> str:
        """The file's text with another configuration in this one's place."""
        block = textwrap.indent(config, " " * self.indent, lambda line: bool(line.strip()))
        mark = "|" if config.endswith("\n") else "|-"
        return f"{text[: self.start]}{mark}\n{block.rstrip()}\n{text[self.end :]}"


def find(text: str, where: str) -> list[Embedded]:
    """Every RayService with a Serve configuration in a text of one or more YAML documents.

    Raises:
        ConfigError: it is no YAML.
    """
    try:
        return [found for node in yaml.compose_all(text, yaml.SafeLoader) for found in _in(node, text)]
    except yaml.YAMLError as error:
        raise ConfigError(f"cannot read {where}: {error}") from error


def with_preload(text: str, change: Callable[[list[str]], list[str]]) -> str:
    """The text with the lists of its ConfigMaps changed: of what new workers download before their replicas start."""
    for node in reversed(list(yaml.compose_all(text, yaml.SafeLoader))):
        found = _entries(_entries(node).get("data")).get(PRELOAD)
        if found is not None and (wanted := change(found.value.split())) != found.value.split():
            start, end = found.start_mark.index, found.end_mark.index
            text = f"{text[:start]}{json.dumps(' '.join(wanted)) if found.style else ' '.join(wanted)}{text[end:]}"
    return text


def patch_of(folder: Path) -> Path:
    """The file of a kustomize folder that holds its Serve configuration: its last patch or resource that has one.

    Raises:
        ConfigError: there is none.
    """
    name = next((name for name in KUSTOMIZATIONS if (folder / name).is_file()), None)
    if name is None:
        raise ConfigError(f"{folder} is a folder without {KUSTOMIZATIONS[0]}; name a file, or a kustomize folder")
    try:
        listed = yaml.safe_load((folder / name).read_text(encoding="utf-8")) or {}
        files = [*listed.get("resources", []), *listed.get("patchesStrategicMerge", [])]
        files += [patch["path"] for patch in listed.get("patches", []) if "path" in patch]
    except (OSError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise ConfigError(f"cannot read {folder / name}: {error}") from error
    for file in reversed(files):
        path = folder / str(file)
        if path.is_file() and find(path.read_text(encoding="utf-8"), str(path)):
            return path
    raise ConfigError(
        f"no file that {folder / name} lists has a RayService with {KEY} of its own; give it a patch of that kind, as "
        "k8s/overlays/ha/serve-config.yaml is"
    )


def _in(node: yaml.Node | None, text: str) -> Iterator[Embedded]:
    """A RayService, or the operations of a JSON patch."""
    if isinstance(node, yaml.SequenceNode):
        for operation in node.value:
            entries = _entries(operation)
            if "path" in entries and entries["path"].value == f"/spec/{KEY}" and "value" in entries:
                yield _embedded("", entries["value"], operation, text, {})
        return
    entries = _entries(node)
    if "kind" not in entries or entries["kind"].value != "RayService" or "spec" not in entries:
        return
    spec = _entries(entries["spec"])
    if KEY in spec:
        name = _entries(entries.get("metadata")).get("name")
        whole = yaml.SafeLoader("").construct_document(node)
        yield _embedded(name.value if name else "", spec[KEY], entries["spec"], text, whole)


def _embedded(service: str, value: yaml.Node, around: yaml.Node, text: str, resource: dict[str, Any]) -> Embedded:
    column = around.start_mark.column
    lines = text[value.start_mark.index : value.end_mark.index].splitlines()[1:]
    first = next((line for line in lines if line.strip()), "")
    indent = len(first) - len(first.lstrip()) if getattr(value, "style", None) == "|" else column + 2
    end = value.end_mark.index
    if getattr(value, "style", None) not in ("|", ">"):
        end += text[end:].startswith("\n")
    return Embedded(service, str(value.value), value.start_mark.index, end, indent, resource)


def _entries(node: yaml.Node | None) -> dict[str, Any]:
    return {key.value: value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}

"""serve_config.yaml changed in place: the file stays the truth, and its comments stay where they were."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deployments.cluster.serve_file import ServeConfig
from deployments.cluster.serve_file_check import check
from deployments.operator.operations import Operation
from models.errors import ConfigError, EmbedserveError
from models.files import write_whole

LOST = "its layout could not be kept, comments are lost"


@dataclass(frozen=True)
class YamlFile:
    """A configuration file, before and after a change."""

    path: Path
    before: str
    after: str
    note: str = ""

    @classmethod
    def changed(cls, path: Path, operation: Operation) -> YamlFile:
        """Apply a change to the file's own document, which may differ from the cluster's in port or profile.

        Raises:
            EmbedserveError: the file is invalid, or the change does not fit it; nothing was written.
        """
        old = ServeConfig.load(path).document
        text = path.read_text(encoding="utf-8")
        try:
            new = operation(old)
            check(new, str(path))
        except EmbedserveError as error:
            raise ConfigError(f"{path} differs from the cluster, --write cannot follow: {error}") from error
        edited = edit(text, old, new)
        if edited is not None:
            return cls(path, text, edited)
        return cls(path, text, yaml.safe_dump(new, sort_keys=False, default_flow_style=None, width=120), LOST)

    def diff(self) -> list[str]:
        """What would be written."""
        lines = (self.before.splitlines(), self.after.splitlines())
        return list(difflib.unified_diff(*lines, str(self.path), f"{self.path} (planned)", lineterm=""))

    def save(self) -> None:
        """Write it, whole or not at all.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            write_whole(self.path, self.after.encode())
        except OSError as error:
            raise ConfigError(f"the service is changed, but {self.path} cannot be written: {error.strerror}") from error


def edit(text: str, old: Any, new: Any) -> str | None:
    """The text changed where the documents differ; nothing when the result would not read as the new document."""
    edits: list[tuple[int, int, str]] = []
    _walk(text, yaml.compose(text), old, new, edits)
    for start, end, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement + text[end:]
    try:
        return text if yaml.safe_load(text) == new else None
    except yaml.YAMLError:
        return None


def _walk(text: str, node: Any, old: Any, new: Any, edits: list[tuple[int, int, str]]) -> None:
    if old == new:
        return
    mapping = isinstance(node, yaml.MappingNode) and isinstance(new, dict)
    if mapping and (not node.flow_style or old.keys() == new.keys()):
        _walk_mapping(text, node, old, new, edits)
    elif mapping:
        edits.append((node.start_mark.index, _end(text, node), _flow_mapping(text, node, old, new)))
    elif isinstance(node, yaml.SequenceNode) and not node.flow_style and _named(old) and _named(new):
        _walk_items(text, node, old, new, edits)
    else:
        edits.append((node.start_mark.index, _end(text, node), _flow(new)))


def _walk_mapping(text: str, node: Any, old: Any, new: Any, edits: list[tuple[int, int, str]]) -> None:
    for key, value in node.value:
        name = yaml.safe_load(text[key.start_mark.index : key.end_mark.index])
        if name in new:
            _walk(text, value, old[name], new[name], edits)
        else:
            edits.append((_line_start(text, key.start_mark.index), _line_end(text, _end(text, value)) + 1, ""))
    at = _line_end(text, _end(text, node))
    indent = " " * node.start_mark.column
    for name in [name for name in new if name not in old]:
        edits.append((at, at, f"\n{indent}{_flow(name)}: {_flow(new[name])}"))


def _flow_mapping(text: str, node: Any, old: Any, new: Any) -> str:
    """A mapping between braces, with the keys and values that stay as they are written; new keys quoted like the rest."""
    written = {}
    for key, value in node.value:
        source = text[key.start_mark.index : key.end_mark.index]
        written[yaml.safe_load(source)] = source, text[value.start_mark.index : _end(text, value)]
    quoted = any(source.startswith(('"', "'")) for source, _ in written.values())
    pairs = []
    for name, value in new.items():
        source, same = written.get(name, (json.dumps(name) if quoted else _flow(name), ""))
        pairs.append(f"{source}: {same if name in old and old[name] == value else _flow(value)}")
    return "{" + ", ".join(pairs) + "}"


def _walk_items(text: str, node: Any, old: list[Any], new: list[Any], edits: list[tuple[int, int, str]]) -> None:
    """Items of a list are told apart by their names."""
    wanted = {item["name"]: item for item in new}
    for item, value in zip(node.value, old, strict=True):
        if value["name"] in wanted:
            _walk(text, item, value, wanted[value["name"]], edits)
        else:
            start = _line_start(text, item.start_mark.index)
            blank = start >= 2 and text[start - 2 : start] == "\n\n"
            edits.append((start - blank, _line_end(text, _end(text, item)) + 1, ""))
    have = {value["name"] for value in old}
    at = _line_end(text, _end(text, node))
    indent = " " * node.start_mark.column
    for item in [item for item in new if item["name"] not in have]:
        lines = str(yaml.safe_dump([item], sort_keys=False, default_flow_style=None, width=110)).splitlines()
        edits.append((at, at, "\n\n" + "\n".join(indent + line for line in lines)))


def _named(items: Any) -> bool:
    return isinstance(items, list) and all(isinstance(item, dict) and "name" in item for item in items)


def _flow(value: Any) -> str:
    dumped = str(yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=4096))
    return dumped.removesuffix("...\n").strip()


def _end(text: str, node: Any) -> int:
    """Behind a node's last character; a block's own end mark lies behind the comments that follow it."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
        start = int(node.start_mark.index)
        return start + len(text[start : node.end_mark.index].rstrip())
    last = node.value[-1]
    return _end(text, last[1] if isinstance(last, tuple) else last)


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end

"""Changes YAML files that people write, and keeps their comments, quoting and layout.

ruamel.yaml reads and writes them. It attaches a comment to the value before it: removing that value would remove the
comment of the next entry too. Entries of block mappings and lists are therefore removed and inserted as lines of text,
at the positions that ruamel reports.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase, CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from models.yaml_style import dumped, new_value, quoted_like, styled_like, writer_like


def edit(text: str, new: Any) -> str | None:
    """Change a YAML text so that it parses to another document.

    Args:
        text: what a person wrote.
        new: the document to parse to, a mapping. Items of a list are matched by their ``name`` where all have one.

    Returns:
        The changed text. None where the layout does not allow the change: other places share the value by an anchor, or
        ruamel cannot write what it read (such as a comment and an empty line after an item in braces).
    """
    try:
        return _edited(text, new)
    except (YAMLError, yaml.YAMLError):
        return None


def _edited(text: str, new: Any) -> str | None:
    if not isinstance(yaml.safe_load(text), dict):
        return None
    writer = writer_like(text)
    while (spliced := _spliced(writer, text, new)) is not None:
        if yaml.safe_load(spliced) == yaml.safe_load(text):
            return None
        text = spliced
    document = writer.load(text)
    if document != new:
        _set_values(document, new)
        text = dumped(writer, document)
    return text if yaml.safe_load(text) == new else None


def _spliced(writer: YAML, text: str, new: Any) -> str | None:
    """The text with one entry inserted or removed; None when the entries are the wanted ones."""
    lines = text.splitlines()
    for node, wanted in _blocks(writer.load(text), new):
        have = _entries(node)
        for name, (line, column) in have.items():
            begins = lines[line][:column].strip(" -" if isinstance(node, CommentedSeq) else " ") == ""
            if name not in wanted and begins:
                return _without(lines, line, _last_line(lines, line, _indent(lines[line])))
        missing = next((name for name in wanted if name not in have), None)
        if missing is not None:
            line, column = list(have.values())[-1]
            return _with(writer, lines, (line, column), node, missing, wanted[missing])
    return None


def _with(writer: YAML, lines: list[str], last: tuple[int, int], node: Any, name: Any, value: Any) -> str:
    """The text with an entry inserted after the last one, with an empty line before it in a list."""
    line, column = last
    entry: CommentedMap | list[Any]
    if isinstance(node, CommentedSeq):
        column, entry, before = _indent(lines[line]), [new_value(value)], [""]
    else:
        entry, before = CommentedMap({quoted_like(node, name): new_value(value)}), []
    block = textwrap.indent(textwrap.dedent(dumped(writer, entry)), " " * column).splitlines()
    at = _last_line(lines, line, column) + 1
    return "\n".join([*lines[:at], *before, *block, *lines[at:]]) + "\n"


def _blocks(node: Any, new: Any) -> Iterator[tuple[CommentedBase, dict[Any, Any]]]:
    """Every block mapping, and block list of named items, that is in both documents, with its wanted entries."""
    if not isinstance(node, CommentedMap | CommentedSeq) or node.fa.flow_style() or node == new:
        return
    wanted = _by_name(new)
    have = _by_name(node)
    if not have or wanted is None:
        return
    yield node, wanted
    for name, value in have.items():
        if name in wanted:
            yield from _blocks(value, wanted[name])


def _by_name(value: Any) -> dict[Any, Any] | None:
    """The entries of a mapping, or of a list whose items have names."""
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, list) and all(isinstance(item, dict) and "name" in item for item in value):
        named = {item["name"]: item for item in value}
        return named if len(named) == len(value) else None
    return None


def _entries(node: Any) -> dict[Any, tuple[int, int]]:
    """The line and column where each entry of a block begins."""
    if isinstance(node, CommentedMap):
        return {key: node.lc.key(key) for key in node if key in node.lc.data}  # others come from a merge
    return {item["name"]: node.lc.item(index) for index, item in enumerate(node)}


def _last_line(lines: list[str], first: int, column: int) -> int:
    """The last line of the entry that begins at line ``first``; deeper lines belong to it, comments too."""
    last = first
    is_item = lines[first].lstrip().startswith("- ") and _indent(lines[first]) == column
    for number in range(first + 1, len(lines)):
        line = lines[number]
        if not line.strip():
            continue
        deeper = _indent(line) > column
        listed = not is_item and _indent(line) == column and line.lstrip().startswith("- ")
        if deeper or listed:
            last = number
        elif not line.lstrip().startswith("#"):
            break
    return last


def _without(lines: list[str], first: int, last: int) -> str:
    """The text without the lines from ``first`` to ``last`` and without an empty line before them."""
    empty = first > 0 and not lines[first - 1].strip()
    return "\n".join([*lines[: first - empty], *lines[last + 1 :]]) + "\n"


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _set_values(node: Any, new: Any) -> None:
    """Make a mapping or a list of named items equal to another; leave equal values as they are."""
    if isinstance(node, CommentedSeq):
        for item, value in zip(node, new, strict=True):
            _set_values(item, value)
        return
    for key in [key for key in node if key not in new]:
        del node[key]
    for key, value in new.items():
        if key not in node:
            node[quoted_like(node, key)] = new_value(value)
        elif node[key] != value:
            if _alike(node[key], value):
                _set_values(node[key], value)
            else:
                node[key] = styled_like(node[key], value)


def _alike(node: Any, new: Any) -> bool:
    """Whether two values are mappings, or lists of items with the same names in the same order."""
    if isinstance(node, dict) and isinstance(new, dict):
        return True
    names = [_by_name(value) if isinstance(value, list) else None for value in (node, new)]
    return names[0] is not None and names[1] is not None and list(names[0]) == list(names[1])

"""Changes YAML files that people write, and keeps their comments, quoting and layout.

ruamel.yaml reads and writes them. It attaches a comment to the value before it: removing that value would remove the
comment of the next entry too. Entries of block mappings and lists are therefore removed and inserted as lines of text,
at the positions that ruamel reports.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase, CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, SingleQuotedScalarString

NO_WRAP = 1 << 20  # columns; ruamel would wrap long lines otherwise
FLOW_LENGTH = 90  # a new collection of plain values is written in one line if it has at most so many characters
QUOTED = (DoubleQuotedScalarString, SingleQuotedScalarString)


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
    writer = _writer(text)
    while (spliced := _spliced(writer, text, new)) is not None:
        if yaml.safe_load(spliced) == yaml.safe_load(text):
            return None
        text = spliced
    document = writer.load(text)
    if document != new:
        _set_values(document, new)
        text = _dumped(writer, document)
    return text if yaml.safe_load(text) == new else None


def _writer(text: str) -> YAML:
    writer = YAML()
    writer.preserve_quotes = True
    writer.width = NO_WRAP
    writer.representer.add_representer(type(None), lambda representer, _: _null(representer))
    document = writer.load(text)
    offset = next(_indents(document, CommentedSeq), 0)
    writer.indent(mapping=next(_indents(document, CommentedMap), 2), sequence=offset + len("- "), offset=offset)
    return writer


def _indents(node: Any, collection: type[CommentedBase]) -> Iterator[int]:
    """How many columns the mappings, or the lists, are indented from the mapping that holds them."""
    for value in node.values() if isinstance(node, CommentedMap) else node:
        if isinstance(value, CommentedMap | CommentedSeq) and not value.fa.flow_style():
            if value.lc.data and isinstance(node, CommentedMap) and isinstance(value, collection):
                yield _column(value) - _column(node)
            yield from _indents(value, collection)


def _column(node: Any) -> int:
    """The column of a mapping's keys or a list's dashes; ``node.lc.col`` may be the column of an anchor instead."""
    first: int = min(place[1] for place in node.lc.data.values())
    return first - len("- ") if isinstance(node, CommentedSeq) else first


def _null(representer: Any) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _dumped(writer: YAML, document: Any) -> str:
    buffer = io.StringIO()
    writer.dump(document, buffer)
    return buffer.getvalue()


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
        column, entry, before = _indent(lines[line]), [_styled(value)], [""]
    else:
        entry, before = CommentedMap({_quoted_like(node, name): _styled(value)}), []
    block = textwrap.indent(textwrap.dedent(_dumped(writer, entry)), " " * column).splitlines()
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
            node[_quoted_like(node, key)] = _styled(value)
        elif node[key] != value:
            if _alike(node[key], value):
                _set_values(node[key], value)
            else:
                node[key] = _styled_like(node[key], value)


def _alike(node: Any, new: Any) -> bool:
    """Whether two values are mappings, or lists of items with the same names in the same order."""
    if isinstance(node, dict) and isinstance(new, dict):
        return True
    names = [_by_name(value) if isinstance(value, list) else None for value in (node, new)]
    return names[0] is not None and names[1] is not None and list(names[0]) == list(names[1])


def _quoted_like(node: Any, name: Any) -> Any:
    """A new key, quoted if another key of the mapping is."""
    quoted = next((type(key) for key in node if isinstance(key, QUOTED)), None) if isinstance(node, dict) else None
    return quoted(name) if quoted and isinstance(name, str) and not isinstance(name, QUOTED) else name


def _styled_like(old: Any, value: Any) -> Any:
    """A new value, quoted or laid out like the value that it replaces."""
    if isinstance(old, QUOTED) and isinstance(value, str):
        return type(old)(value)
    styled = _styled(value)
    if isinstance(old, CommentedSeq) and isinstance(styled, CommentedSeq):
        styled.fa.set_flow_style() if old.fa.flow_style() else styled.fa.set_block_style()
    return styled


def _styled(value: Any) -> Any:
    """A new value; short collections are written in one line."""
    if not isinstance(value, dict | list):
        return value
    inner = list(value.values()) if isinstance(value, dict) else value
    flow = not any(isinstance(item, dict | list) for item in inner) and len(str(value)) <= FLOW_LENGTH
    styled: CommentedMap | CommentedSeq
    if isinstance(value, dict):
        styled = CommentedMap({key: _styled(item) for key, item in value.items()})
    else:
        styled = CommentedSeq([_styled(item) for item in value])
    if flow:
        styled.fa.set_flow_style()
    return styled

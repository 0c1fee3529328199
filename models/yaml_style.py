"""How a YAML file is written: indented, quoted and laid out like what stands there already."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase, CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, SingleQuotedScalarString

NO_WRAP = 1 << 20  # columns; ruamel would wrap long lines otherwise
FLOW_LENGTH = 90  # a new collection of plain values is written in one line if it has at most so many characters
QUOTED = (DoubleQuotedScalarString, SingleQuotedScalarString)


def writer_like(text: str) -> YAML:
    """A reader and writer that indents as a text does, and keeps its quotes."""
    writer = YAML()
    writer.preserve_quotes = True
    writer.width = NO_WRAP
    writer.representer.add_representer(type(None), lambda representer, _: _null(representer))
    document = writer.load(text)
    offset = next(_indents(document, CommentedSeq), 0)
    writer.indent(mapping=next(_indents(document, CommentedMap), 2), sequence=offset + len("- "), offset=offset)
    return writer


def dumped(writer: YAML, document: Any) -> str:
    """A document as text."""
    buffer = io.StringIO()
    writer.dump(document, buffer)
    return buffer.getvalue()


def quoted_like(node: Any, name: Any) -> Any:
    """A new key, quoted if another key of the mapping is."""
    quoted = next((type(key) for key in node if isinstance(key, QUOTED)), None) if isinstance(node, dict) else None
    return quoted(name) if quoted and isinstance(name, str) and not isinstance(name, QUOTED) else name


def styled_like(old: Any, value: Any) -> Any:
    """A new value, quoted or laid out like the value that it replaces."""
    if isinstance(old, QUOTED) and isinstance(value, str):
        return type(old)(value)
    styled = new_value(value)
    if isinstance(old, CommentedSeq) and isinstance(styled, CommentedSeq):
        styled.fa.set_flow_style() if old.fa.flow_style() else styled.fa.set_block_style()
    return styled


def new_value(value: Any) -> Any:
    """A new value; short collections are written in one line."""
    if not isinstance(value, dict | list):
        return value
    inner = list(value.values()) if isinstance(value, dict) else value
    flow = not any(isinstance(item, dict | list) for item in inner) and len(str(value)) <= FLOW_LENGTH
    styled: CommentedMap | CommentedSeq
    if isinstance(value, dict):
        styled = CommentedMap({key: new_value(item) for key, item in value.items()})
    else:
        styled = CommentedSeq([new_value(item) for item in value])
    if flow:
        styled.fa.set_flow_style()
    return styled


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

"""What an ONNX file refers to outside itself; read without its weights, before ONNX Runtime opens it.

A model file is data that may come from a stranger. It can refer to two things outside itself: paths of other files that
hold weights, and operators of a custom library.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from models.errors import ArtifactError
from models.file_digest import file_sha256
from models.graph.protobuf_fields import LENGTH_DELIMITED, fields_of

# Domains of the operators that ONNX Runtime has. Libraries with custom operators are never loaded.
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
# Parts of the names of operators whose products ONNX Runtime computes in integers.
INTEGER_OPERATORS = (
    "Integer",
    "QLinear",
    "QAttention",
    "QGemm",
    "QOrdered",
    "DequantizeLinear",
    "DynamicQuantize",
    "NBits",
)
COMPILED = "EPContext"  # an operator of com.microsoft that names files with code for an accelerator
# Field numbers of onnx.proto.
GRAPH, FUNCTIONS = 7, 25  # of ModelProto
NODE, INITIALIZER, SPARSE_INITIALIZER = 1, 5, 15  # of GraphProto
TENSOR_OUTLINE = frozenset({8, 13, 14})  # of TensorProto: name, external_data, data_location


@dataclass(slots=True)
class Contents:
    """What a file refers to."""

    domains: set[str] = field(default_factory=set)  # of its operators
    own_domains: set[str] = field(default_factory=set)  # of functions that the file defines from other operators
    compiled: bool = False
    integers: bool = False  # whether any of its products is one of integers
    external: set[str] = field(default_factory=set)  # paths of files with weights, as the file has them


def digest(path: Path) -> str:
    """sha256 over a graph and the files that hold its weights, 64 hex digits.

    For a graph without such files, and for one that ``check`` refuses, it is the sha256 of the graph's file: the reason of a
    refusal is for whoever opens the graph.
    """
    own = file_sha256(path)
    try:
        files = check(path)
    except ArtifactError:
        return own
    if not files:
        return own
    parts = {"graph": own, "external": {name: file_sha256(file) for name, file in sorted(files.items())}}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def check(path: Path) -> dict[str, Path]:
    """Refuse a graph that refers to files outside its folder or needs custom code.

    Returns:
        The files with its weights, by the paths that the graph has for them.

    Raises:
        ArtifactError: a path leaves the folder or is no file, or ONNX Runtime does not have an operator.
    """
    found = contents(path)
    foreign = sorted(found.domains - found.own_domains - DOMAINS)
    if foreign:
        raise ArtifactError(
            f"{path.name} has operators of {', '.join(map(repr, foreign))}; custom operators are not loaded, only "
            f"those of {', '.join(sorted(DOMAINS - {''}))}"
        )
    if found.compiled:
        raise ArtifactError(f"{path.name} holds code compiled for an accelerator ({COMPILED}), which is not loaded")
    return {location: _inside(path, location) for location in found.external}


def _inside(path: Path, location: str) -> Path:
    parts = PurePosixPath(location)
    folder = path.parent.resolve()
    if not location or "\0" in location or "\\" in location or parts.is_absolute() or ".." in parts.parts:
        raise ArtifactError(f"{path.name} names weights at {location!r:.80}, which is no path within its folder")
    file = (folder / parts).resolve()
    if not file.is_relative_to(folder):
        raise ArtifactError(f"{path.name} names weights at {location!r:.80}, a link that leaves its folder")
    if not file.is_file():
        raise ArtifactError(f"{path.name} names weights at {location!r:.80}, which is no file")
    return file


def load(path: Path) -> onnx.ModelProto:
    """Load a model, with its weights from other files in its folder.

    Raises:
        ArtifactError: as for ``check``.
    """
    check(path)
    return onnx.load(str(path))


def contents(path: Path) -> Contents:
    """What a file refers to; its weights are skipped, however large they are.

    Raises:
        ArtifactError: it is no ONNX file.
    """
    found = Contents()
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            for number, wire_type, length, _ in fields_of(file, size):
                if (number, wire_type) == (GRAPH, LENGTH_DELIMITED):
                    _read_graph(file, length, found)
                elif (number, wire_type) == (FUNCTIONS, LENGTH_DELIMITED):
                    function = onnx.FunctionProto.FromString(file.read(length))
                    found.own_domains.add(function.domain)
                    _note_nodes(function.node, found)
                else:
                    file.seek(length, os.SEEK_CUR)
    except OSError as error:
        raise ArtifactError(f"model file {path} cannot be read: {error.strerror}") from error
    except (DecodeError, EOFError) as error:
        raise ArtifactError(f"{path.name} is no ONNX file, or a damaged one") from error
    return found


def _read_graph(file: BinaryIO, length: int, found: Contents) -> None:
    for number, wire_type, size, _ in fields_of(file, file.tell() + length):
        if wire_type == LENGTH_DELIMITED and number == NODE:
            _note_nodes([onnx.NodeProto.FromString(file.read(size))], found)
        elif wire_type == LENGTH_DELIMITED and number == INITIALIZER:
            _note_tensor(_outline(file, size), found)
        elif wire_type == LENGTH_DELIMITED and number == SPARSE_INITIALIZER:
            _note_sparse(onnx.SparseTensorProto.FromString(file.read(size)), found)
        else:
            file.seek(size, os.SEEK_CUR)


def _outline(file: BinaryIO, length: int) -> onnx.TensorProto:
    """A tensor without its values."""
    kept = bytearray()
    for number, _, size, head in fields_of(file, file.tell() + length):
        if number in TENSOR_OUTLINE:
            kept += head + file.read(size)
        else:
            file.seek(size, os.SEEK_CUR)
    tensor: onnx.TensorProto = onnx.TensorProto.FromString(bytes(kept))
    return tensor


def _note_nodes(nodes: Iterable[onnx.NodeProto], found: Contents) -> None:
    for node in nodes:
        found.domains.add(node.domain)
        found.compiled |= node.op_type == COMPILED
        found.integers |= any(part in node.op_type for part in INTEGER_OPERATORS)
        for attribute in node.attribute:
            for tensor in (attribute.t, *attribute.tensors):
                _note_tensor(tensor, found)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                _note_sparse(sparse, found)
            for graph in (attribute.g, *attribute.graphs):
                _note_nodes(graph.node, found)
                for tensor in graph.initializer:
                    _note_tensor(tensor, found)
                for sparse in graph.sparse_initializer:
                    _note_sparse(sparse, found)


def _note_sparse(sparse: onnx.SparseTensorProto, found: Contents) -> None:
    _note_tensor(sparse.values, found)
    _note_tensor(sparse.indices, found)


def _note_tensor(tensor: onnx.TensorProto, found: Contents) -> None:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        found.external.add(next((e.value for e in reversed(tensor.external_data) if e.key == "location"), ""))

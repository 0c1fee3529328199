"""The record beside a graph of the store: what it was made of, and what vouches for it."""

from __future__ import annotations

import json
from pathlib import Path

import onnx

from models.catalog.artifact import Artifact
from models.errors import ArtifactError
from models.file_digest import file_sha256
from models.files import write_whole
from models.modalities.model_files import ModelFiles


def record_of(graph: Path) -> dict[str, object]:
    """The record written beside a graph when it was built; empty for graphs that were put there by hand."""
    path = record_path(graph)
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def record_path(graph: Path) -> Path:
    """Where the record of a graph lies."""
    return graph.with_suffix(".json")


def begin(target: Path) -> None:
    """Note that a graph is ours, before it is there: a process that is killed leaves no graph that looks like a stranger's."""
    write_whole(record_path(target), json.dumps({"building": True}).encode())


def vouched(artifact: Artifact) -> bool:
    """Whether the catalogue's hash, or the record of how it was made, says that an artifact is what it should be."""
    record = record_of(artifact.graph)
    if artifact.hash in (artifact.spec.hash, record.get("hash")):
        return True
    return record.get("graph") == file_sha256(artifact.graph)


def is_synthetic(artifact: ModelFiles) -> bool:
    """Whether the weights are random. The label is in the graph itself, so that copies keep it."""
    record = record_of(artifact.graph)
    if record.get("graph") == file_sha256(artifact.graph):
        return bool(record.get("synthetic"))
    try:
        properties = onnx.load(str(artifact.graph), load_external_data=False).metadata_props
    except Exception as error:  # protobuf's DecodeError, which differs between its implementations
        raise ArtifactError(f"{artifact.graph.name} does not load: {error}") from error
    return any(p.key == "embedserve.weights" and p.value == "synthetic" for p in properties)

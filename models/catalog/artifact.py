"""The files of one model version, and the hash of their content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from models.catalog.model_spec import ModelSpec
from models.errors import ArtifactError
from models.file_digest import file_sha256
from models.graph.onnx_file import digest


@dataclass(frozen=True)
class Artifact:
    """A graph, its tokenizer if it has one, and their catalogue entry."""

    spec: ModelSpec
    graph: Path
    tokenizer: Path | None
    hash: str  # 64 hex digits over graph, tokenizer and canonical configuration


def tokenizer_path(graph: Path) -> Path:
    """The path of a graph's tokenizer: in the same folder, with the same stem."""
    return graph.with_suffix(".tokenizer.json")


def open_artifact(spec: ModelSpec, graph: Path) -> Artifact:
    """Find a version's files and hash them.

    Raises:
        ArtifactError: the graph, or a text model's tokenizer, is missing.
    """
    tokenizer = tokenizer_path(graph) if spec.modality.has_tokenizer else None
    for path in (graph, tokenizer):
        if path is not None and not path.is_file():
            raise ArtifactError(f"model file {path} does not exist; run `embedserve models pull {spec.reference}`")
    return Artifact(spec, graph, tokenizer, content_hash(spec, graph, tokenizer))


def with_shrinking(artifact: Artifact, margin: int | None) -> Artifact:
    """The same files with another ``config.shrink_margin``. It changes the vectors, so the hash changes too.

    Args:
        artifact: of an image model, unless ``margin`` is None.
        margin: the new value; 0 switches shrinking off, None keeps the value of the catalogue entry.

    Raises:
        ArtifactError: the model does not embed pictures.
    """
    if margin is None:
        return artifact
    if "shrink_margin" not in artifact.spec.modality.config.model_fields:
        raise ArtifactError(
            f"shrink_margin is for models of pictures; {artifact.spec.reference} embeds {artifact.spec.modality.noun}"
        )
    config = {key: value for key, value in artifact.spec.config.items() if key != "shrink_margin"}
    spec = artifact.spec.model_copy(update={"config": {**config, **({"shrink_margin": margin} if margin else {})}})
    return replace(artifact, spec=spec, hash=content_hash(spec, artifact.graph, artifact.tokenizer))


def content_hash(spec: ModelSpec, graph: Path, tokenizer: Path | None) -> str:
    """sha256 over everything that a vector depends on but the machine; the same files give the same hash everywhere.

    Names, paths and sources are left out, because they may change without changing a vector.
    """
    parts = {
        "graph": digest(graph),
        "tokenizer": file_sha256(tokenizer) if tokenizer else None,
        "type": spec.type,
        "dimensions": spec.dimensions,
        "config": spec.config,
    }
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()

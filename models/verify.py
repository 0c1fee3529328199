"""Checks of a model on disk: is it the file that was built, does it load, does it embed?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from models.catalog.artifact import Artifact, open_artifact
from models.catalog.model_spec import Golden, ModelSpec
from models.catalog.paths import found_path
from models.catalog.record import is_synthetic, record_of
from models.embedder import Embedder, open_embedder, probe
from models.engine.openvino import bf16_refusal
from models.errors import ArtifactError, EmbedserveError
from models.file_digest import file_sha256
from models.graph.precision import precision_of
from models.modalities.text import TextEmbedder
from models.reference.compare import reference_check
from models.service_checks import service_checks

T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """One check and its result."""

    name: str
    passed: bool
    detail: str


def verify(spec: ModelSpec, reference: Path | None = None) -> list[Check]:
    """Run every check on a version in the store.

    Args:
        spec: its catalogue entry.
        reference: the Python of an environment with the model's own library, to compare with; None compares with none.

    Returns:
        The checks in order. The first that fails is the last, because the later ones depend on it.
    """
    checks: list[Check] = []
    for check in _checks(spec, reference):
        checks.append(check)
        if not check.passed:
            break
    return checks


def _checks(spec: ModelSpec, reference: Path | None) -> Iterator[Check]:
    graph = found_path(spec.path)
    opened = _attempt(lambda: open_artifact(spec, graph))
    if not isinstance(opened, Artifact):
        yield Check("files", False, opened)
        return
    yield Check("files", True, f"{graph.name}, {graph.stat().st_size / 1e6:.1f} MB")
    yield _unchanged(opened)
    if precision_of(spec.precision).bf16 and (refusal := bf16_refusal()) is not None:
        yield Check("loads", True, f"left out: {refusal}")
        return
    embedder = _attempt(lambda: open_embedder(opened))
    if isinstance(embedder, str):
        yield Check("loads", False, embedder)
        return
    yield Check("loads", True, f"ONNX Runtime, {embedder.engine.provider}")
    vector = probe(embedder)
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    yield Check("embeds", True, f"{vector.shape[1]} dimensions, length {norm:.7f}")
    for name, passed, detail in service_checks(embedder, batch_dependent=bool(spec.config.get("batch_dependent"))):
        yield Check(name, passed, detail)
    if spec.golden is not None and isinstance(embedder, TextEmbedder):
        yield golden_check(embedder, spec.golden)
    if reference is not None and spec.adapted is not None:
        yield Check("its own library", True, f"left out: its vectors are mapped into the space of {spec.adapted.to}")
    elif reference is not None:
        passed, detail = reference_check(opened, embedder, reference)
        yield Check("its own library", passed, detail)


def _attempt(step: Callable[[], T]) -> T | str:
    try:
        return step()
    except EmbedserveError as error:
        return str(error)


def _unchanged(artifact: Artifact) -> Check:
    """Whether the files have the hashes that were recorded when they were built."""
    try:
        record = record_of(artifact.graph)
    except ValueError:
        return Check("hash", False, f"the record beside {artifact.graph.name} is damaged; pull the version again")
    if artifact.spec.hash is not None and not is_synthetic(artifact):
        same = artifact.hash == artifact.spec.hash
        return Check("hash", same, artifact.hash + ("" if same else f", the catalogue says {artifact.spec.hash}"))
    if not record:
        return Check(
            "hash", False, f"{artifact.hash}: neither a record nor the catalogue's `hash` says what it should be"
        )
    if record.get("graph") != file_sha256(artifact.graph):
        return Check("hash", False, f"{artifact.graph.name} changed since it was made; pull the version again")
    if record.get("hash") != artifact.hash:
        return Check("hash", False, "the tokenizer or configuration changed since it was made; pull it again")
    return Check("hash", True, artifact.hash)


def golden_check(embedder: Embedder, golden: Golden) -> Check:
    """Compare the cosine of each pair of texts with the one published for these weights.

    Raises:
        ArtifactError: the embedder does not embed text.
    """
    if not isinstance(embedder, TextEmbedder):
        raise ArtifactError(f"{embedder.artifact.graph.name} takes no text, its golden cosines are of texts")
    vectors = embedder.embed(golden.texts).astype(np.float64)
    rows, columns = np.triu_indices(len(vectors), k=1)
    cosines = (vectors @ vectors.T)[rows, columns]
    worst = float(np.abs(cosines - np.array(golden.cosines)).max())
    shown = ", ".join(f"{cosine:.4f}" for cosine in cosines)
    wanted = ", ".join(f"{cosine:.4f}" for cosine in golden.cosines)
    return Check("golden cosines", worst <= golden.tolerance, f"{shown}; published {wanted} (± {golden.tolerance})")

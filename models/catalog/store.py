"""The store: keeps a catalogue entry's artifact, made from the first source that answers."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from models.catalog.artifact import Artifact, open_artifact, tokenizer_path
from models.catalog.build import recipe
from models.catalog.download import Reporter, Silent
from models.catalog.making import make
from models.catalog.model_spec import ModelSpec
from models.catalog.paths import places
from models.catalog.record import is_synthetic, record_of, record_path
from models.catalog.source_entry import Source, SyntheticSource
from models.catalog.store_fault import store_fault
from models.catalog.turns import in_turn
from models.catalog.undo import clear_interrupted
from models.errors import ArtifactError, SourceError, StoreError, UnreachableError
from models.file_digest import file_sha256


def pull(spec: ModelSpec, *, allow_synthetic: bool, reporter: Reporter | None = None, retry_s: float = 0) -> Artifact:
    """Return a version's artifact; download and build it if the store does not have it.

    Args:
        spec: the catalogue entry.
        allow_synthetic: whether random weights may stand in when no other source answers.
        reporter: receives every source that fails and the progress of downloads.
        retry_s: where random weights stand in, real ones are looked for again after this many seconds. A swap must not wait
            for a hub that did not answer a moment ago.

    Raises:
        ArtifactError: no source had the files; the message lists each source and what to do.
        StoreError: the store cannot be written.
    """
    reporter = reporter or Silent()
    ready = _servable(spec, retry_s, allow_synthetic=allow_synthetic)
    if ready is not None:  # without the lock, which a store that is mounted read-only does not give
        return ready
    clear_interrupted()
    try:
        with in_turn(
            spec.graph.with_suffix(""), f"pull, synthetic {allow_synthetic}"
        ):  # one process builds an artifact
            return _pulled(spec, reporter, retry_s, allow_synthetic=allow_synthetic)
    except OSError as error:  # of the lock: the store may be read-only, and have all there is to serve
        kept = kept_artifact(spec)
        if kept is not None and (allow_synthetic or not is_synthetic(kept)):
            return kept
        raise store_fault(error, spec.graph.parent) or StoreError(f"cannot use the store: {error}") from error


def _pulled(spec: ModelSpec, reporter: Reporter, retry_s: float, *, allow_synthetic: bool) -> Artifact:
    ready = _servable(spec, retry_s, allow_synthetic=allow_synthetic)
    if ready is not None:
        return ready
    kept = kept_artifact(spec)
    if kept is None:
        _require_ours(spec)
    failures: list[tuple[Source, str, bool]] = []
    for source in spec.sources:
        if isinstance(source, SyntheticSource):
            if not allow_synthetic:
                failures.append((source, "random weights are refused outside the development profile", True))
                continue
            if kept is not None:
                with contextlib.suppress(OSError):  # no record, or a store that may not be written: each look counts
                    os.utime(record_path(kept.graph))
                return kept
        try:
            return make(spec, source, reporter)
        except (SourceError, ArtifactError, StoreError, OSError) as error:
            fault = store_fault(error) if isinstance(error, OSError) else error
            if isinstance(fault, StoreError) and not (kept and allow_synthetic):
                raise fault from error
            failures.append((source, str(error), isinstance(error, UnreachableError)))
            reporter.note(f"{spec.reference}: {source} failed: {error}")
    raise ArtifactError(_no_source(spec, failures))


def _servable(spec: ModelSpec, retry_s: float, *, allow_synthetic: bool) -> Artifact | None:
    """What the store has, if no source needs to be asked for better."""
    kept = kept_artifact(spec)
    real = kept is not None and not is_synthetic(kept)
    return kept if real or (kept and allow_synthetic and _looked_within(kept, retry_s)) else None


def kept_artifact(spec: ModelSpec) -> Artifact | None:
    """The artifact in the store or among preloaded ones, rather with real weights than with random ones.

    None if it is missing, damaged, would be built differently now, or nobody vouches for it.
    """
    found = [artifact for graph in places(spec.path) if (artifact := _kept_at(spec, graph)) is not None]
    if len(found) < 2:
        return found[0] if found else None
    return next((artifact for artifact in found if not is_synthetic(artifact)), found[0])


def _kept_at(spec: ModelSpec, graph: Path) -> Artifact | None:
    try:
        artifact = open_artifact(spec, graph)
    except ArtifactError:
        return None
    if spec.hash is not None:
        return artifact if artifact.hash == spec.hash or is_synthetic(artifact) else None
    record = record_of(graph)
    if (record.get("hash"), record.get("recipe")) == (artifact.hash, recipe(spec)):
        return artifact
    return artifact if not record and is_synthetic(artifact) else None


def _require_ours(spec: ModelSpec) -> None:
    """Refuse to serve, and to overwrite, a graph that was put into the store by somebody whom nothing vouches for."""
    try:
        artifact = open_artifact(spec, spec.graph)
    except ArtifactError:
        return
    record = record_of(spec.graph)
    replaced = record.get("synthetic") and record.get("graph") != file_sha256(spec.graph)
    if (record and not replaced) or is_synthetic(artifact):
        return
    raise ArtifactError(
        f"{spec.graph} was not made by this program, and "
        + (
            f"its hash is {artifact.hash}, not the catalogue's {spec.hash}. "
            if spec.hash
            else "nothing says what it should be. "
        )
        + f"If it is right, say so with `hash: {artifact.hash}` in the catalogue's entry of {spec.reference}; if not, "
        f"`embedserve models build {spec.reference}` makes it anew"
    )


def _looked_within(kept: Artifact, seconds: float) -> bool:
    """Whether the sources of real weights failed within the last ``seconds``: the record is touched whenever they do."""
    record = record_path(kept.graph)
    return record.is_file() and time.time() - record.stat().st_mtime < seconds


def _no_source(spec: ModelSpec, failures: list[tuple[Source, str, bool]]) -> str:
    """What was tried, and what would help; the last of a failure is whether the source had nothing to say."""
    tried = "\n".join(f"  - {source}: {reason}" for source, reason, _ in failures) or "  (the catalogue names none)"
    remedies = []
    if any(silent and not isinstance(source, SyntheticSource) for source, _, silent in failures):
        remedies.append(
            "make one of them reachable (HF_ENDPOINT names a hub mirror, pip's settings a registry mirror, "
            "AWS_ENDPOINT_URL an S3-compatible store)"
        )
    if any(not silent for _, _, silent in failures):
        remedies.append("correct the entry in the catalogue, or the files: those that were found do not fit it")
    remedies.append(
        f"put the finished graph at {spec.graph}"
        + (f" and its tokenizer at {tokenizer_path(spec.graph)}" if spec.modality.has_tokenizer else "")
        + ", and its hash into the catalogue: the next try says what that is"
    )
    advice = "; or ".join(remedies)
    return f"no source gave {spec.reference} ({spec.name}); tried:\n{tried}\n{advice[0].upper()}{advice[1:]}."

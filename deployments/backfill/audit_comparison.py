"""A sample of rows, computed again by the artifact that they name and by others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.backfill.audit_findings import Audit
from deployments.backfill.audit_sample import Sampled
from deployments.backfill.block import rows_of, unpack
from deployments.backfill.job import Rows, StoredType
from deployments.backfill.model import Wanted, open_model
from deployments.backfill.planning import PLAN_ROWS
from deployments.backfill.preparing import Prepare, Work
from deployments.backfill.sources import open_source
from deployments.backfill.sources.base import Id
from deployments.backfill.stored_vector import converted
from models.catalog.artifact import Artifact
from models.errors import EmbedserveError, JobError
from models.modalities.base import Row

CLOSE = 0.999  # cosine: the same space, computed by something else


def compare(
    source: Rows, artifact: Artifact, rows: Sequence[Sampled], known: Mapping[str, Artifact], found: Audit
) -> None:
    """Compute rows again by the artifact that they name, and by the others where that is not it."""
    inputs = _inputs(source, artifact, {row.id for row in rows})
    for row in rows:
        label = {"id": row.id, "model": row.model, "hash": row.hash}
        now = inputs.get(row.id)
        if now is None:
            found.note("gone from the source", label)
        elif now[0] != row.made_of:
            found.note("input changed since", label)
        elif (cosine := _cosine(artifact, now[1], row)) is None:
            found.verdicts["exact"] += 1
            found.made_by[artifact.spec.reference] += 1
        elif (other := _other(source, artifact, row, known)) is not None:
            found.note("made by another artifact", {**label, "made_by": other})
            found.made_by[other] += 1
        elif cosine > CLOSE:
            found.note("other bits of the same space", {**label, "cosine": round(cosine, 6)})
        else:
            found.note("corrupt", {**label, "cosine": round(cosine, 6)})


def _inputs(source: Rows, artifact: Artifact, ids: set[Id]) -> dict[Id, tuple[str, Row]]:
    """Digest and prepared input of these ids."""
    opened = open_source(source)
    prepare = Prepare(opened, Wanted(artifact.spec.reference, "development"), source.fetch, source.prompt)
    slices = [planned.slice for planned in opened.plan(PLAN_ROWS, pictures=None) if not ids.isdisjoint(planned.ids)]
    found: dict[Id, tuple[str, Row]] = {}
    for piece in slices:
        for carried in prepare(Work([piece])):
            if carried["error"]:
                raise JobError(carried["error"])
            table = unpack(carried["rows"])
            rows = rows_of(table, carried["dtype"]) if table.num_rows else []
            pairs = zip(table.column("id").to_pylist(), table.column("input_digest").to_pylist(), rows, strict=True)
            found |= {one: (digest, row) for one, digest, row in pairs if one in ids}
    return found


def _cosine(artifact: Artifact, row: Row, stored: Sampled) -> float | None:
    """None where an artifact gives the stored bits; else how near its vector is."""
    vector = open_model(Wanted(artifact.spec.reference, "development"), 0, 0).embed_rows([row])
    stored_as = _stored_as(len(stored.vector), vector.shape[1])
    if stored_as is None:
        return 0.0
    again = converted(vector, stored_as)
    if again.tobytes() == stored.vector:
        return None
    there = np.frombuffer(stored.vector, again.dtype)
    return _between(again[0], there) if stored_as != "binary" else _equal_bits(again[0], there)


def _stored_as(size: int, dimensions: int) -> StoredType | None:
    sizes: dict[int, StoredType] = {
        (dimensions + 7) // 8: "binary",
        dimensions: "int8",
        2 * dimensions: "float16",
        4 * dimensions: "float32",
    }
    return sizes.get(size)


def _between(first: NDArray[Any], second: NDArray[Any]) -> float:
    one, other = first.astype(np.float64), second.astype(np.float64)
    return float(one @ other) / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12)


def _equal_bits(first: NDArray[Any], second: NDArray[Any]) -> float:
    return 1 - float(np.unpackbits(first ^ second).mean())


def _other(source: Rows, artifact: Artifact, row: Sampled, known: Mapping[str, Artifact]) -> str | None:
    """The version that made a row which names another one."""
    for other in known.values():
        if other is artifact or other.spec.type != artifact.spec.type:
            continue
        try:
            inputs = _inputs(source, other, {row.id})
            if row.id in inputs and _cosine(other, inputs[row.id][1], row) is None:
                return other.spec.reference
        except EmbedserveError:  # one that does not load here made nothing here
            continue
    return None

"""A sample of rows, computed again by the artifact that they name and by others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.backfill.audit_findings import Audit
from deployments.backfill.audit_sample import Sampled
from deployments.backfill.job import Rows, StoredType
from deployments.backfill.model import Wanted, open_model, preparation
from deployments.backfill.planning import PLAN_ROWS
from deployments.backfill.preparing import Prepare, Work
from deployments.backfill.sources import open_source
from deployments.backfill.sources.base import Id
from deployments.backfill.stored_vector import converted
from models.catalog.artifact import Artifact
from models.errors import EmbedserveError, InputError
from models.modalities.base import Row

PICTURE_ROWS = 8  # that are read for one of them: of a sample in a large source no two are near each other
CLOSE = 0.999  # cosine: the same space, computed by something else


def compare(
    source: Rows, artifact: Artifact, rows: Sequence[Sampled], known: Mapping[str, Artifact], found: Audit
) -> None:
    """Compute rows again by the artifact that they name, and by the others where that is not it."""
    inputs = _inputs(source, artifact, {row.id for row in rows})
    unlike: list[tuple[Sampled, float]] = []
    for row in rows:
        now = inputs.get(row.id)
        if now is None:
            found.note("gone from the source", _label(row))
        elif now[0] != row.made_of:
            found.note("input changed since", _label(row))
        elif (cosine := _cosine(artifact, now[1], row)) is None:
            found.verdicts["exact"] += 1
            found.made_by[artifact.spec.reference] += 1
        else:
            unlike.append((row, cosine))
    others = _makers(source, artifact, [row for row, _ in unlike], known)
    for number, (row, cosine) in enumerate(unlike):
        if number in others:
            found.note("made by another artifact", {**_label(row), "made_by": others[number]})
            found.made_by[others[number]] += 1
        else:
            verdict = "other bits of the same space" if cosine > CLOSE else "corrupt"
            found.note(verdict, {**_label(row), "cosine": round(cosine, 6)})


def _label(row: Sampled) -> dict[str, Any]:
    return {"id": row.id, "model": row.model, "hash": row.hash}


def _inputs(source: Rows, artifact: Artifact, ids: set[Id]) -> dict[Id, tuple[str, Row]]:
    """Digest and prepared input of these ids."""
    opened, wanted = open_source(source), Wanted(artifact.spec.reference, "development")
    prepare = Prepare(opened, wanted, source.fetch, source.prompt)
    rows = PICTURE_ROWS if artifact.spec.type == "image" else PLAN_ROWS
    slices = [planned.slice for planned in opened.plan(rows, pictures=None) if not ids.isdisjoint(planned.ids)]
    found: dict[Id, tuple[str, Row]] = {}
    for piece in slices:
        for checked in prepare.checked(Work([piece])):
            there = checked.read.ids
            some = [
                (one, item, digest)
                for at, item, digest in checked.good
                if (one := there[at]) in ids and one is not None
            ]
            prepared = preparation(wanted)([item for _, item, _ in some]) if some else []
            for (one, _, digest), row in zip(some, prepared, strict=True):
                if not isinstance(row, InputError):
                    found[one] = (digest, row)
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


def _makers(source: Rows, artifact: Artifact, rows: Sequence[Sampled], known: Mapping[str, Artifact]) -> dict[int, str]:
    """The versions that made rows which name another one, by a row's number; the source is read once for each version."""
    found: dict[int, str] = {}
    for other in known.values():
        waiting = [number for number in range(len(rows)) if number not in found]
        if not waiting or other is artifact or other.spec.type != artifact.spec.type:
            continue
        try:
            inputs = _inputs(source, other, {rows[number].id for number in waiting})
            for number in waiting:
                now = inputs.get(rows[number].id)
                if now is not None and _cosine(other, now[1], rows[number]) is None:
                    found[number] = other.spec.reference
        except EmbedserveError:  # one that does not load here made nothing here
            continue
    return found

"""Whether vectors are what their rows say: all are looked at, and a sample is computed again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from deployments.backfill.block import rows_of, unpack
from deployments.backfill.job import Rows, StoredType
from deployments.backfill.model import Wanted, open_model
from deployments.backfill.planning import PLAN_ROWS
from deployments.backfill.preparing import Prepare, Work
from deployments.backfill.sinks import open_sink
from deployments.backfill.sources import open_source
from deployments.backfill.sources.base import Id
from deployments.backfill.stored_vector import INT8_SCALE, converted
from models.catalog.artifact import Artifact
from models.catalog.catalog import Catalog
from models.catalog.store import kept_artifact
from models.errors import EmbedserveError, JobError
from models.modalities.base import Row

UNIT_TOLERANCE = 1e-2  # of a vector's length; float16 and int8 round more than engines do
CLOSE = 0.999  # cosine: the same space, computed by something else
SHOWN = 20  # findings of each kind that are listed


@dataclass(frozen=True)
class Sampled:
    """A row of a sink."""

    id: Id
    model: str
    hash: str
    made_of: str  # its digest
    vector: bytes


@dataclass
class Audit:
    """What was found."""

    rows: int = 0
    sampled: int = 0
    made_by: Counter[str] = field(default_factory=Counter)  # of the sample: whose bits they are
    verdicts: Counter[str] = field(default_factory=Counter)
    findings: list[dict[str, Any]] = field(default_factory=list)

    def note(self, verdict: str, row: Mapping[str, Any]) -> None:
        """Count something that is not as it should be."""
        self.verdicts[verdict] += 1
        if self.verdicts[verdict] <= SHOWN:
            self.findings.append({"verdict": verdict, **row})

    @property
    def clean(self) -> bool:
        """Whether every row is what it says."""
        return not set(self.verdicts) - {"exact"}

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "rows": self.rows,
            "sampled": self.sampled,
            "verdicts": dict(self.verdicts),
            "made_by": dict(self.made_by),
            "findings": self.findings,
        }


def audit(sink: str, source: Rows, sample: int, seed: int = 0) -> Audit:
    """Look at every vector of a sink, and compute a sample again.

    Args:
        sink: where vectors are.
        source: the rows that they were made of.
        sample: how many rows are computed again.
        seed: of the choice.

    Raises:
        JobError: sink or source cannot be read.
    """
    found = Audit()
    known = {artifact.hash: artifact for artifact in artifacts()}
    chosen = list(_chosen(sink, known, sample, random.Random(seed), found))
    found.sampled = len(chosen)
    by_artifact: dict[str, list[Sampled]] = {}
    for row in chosen:
        by_artifact.setdefault(row.hash, []).append(row)
    for hash_, rows in by_artifact.items():
        _compare(source, known[hash_], rows, known, found)
    return found


def artifacts() -> Iterator[Artifact]:
    """Every version of the catalogue whose files are on this machine."""
    for spec in Catalog.load().specs():
        artifact = kept_artifact(spec)
        if artifact is not None:
            yield artifact


def _chosen(
    sink: str, known: Mapping[str, Artifact], sample: int, chance: random.Random, found: Audit
) -> list[Sampled]:
    """A fair sample of the rows that can be computed again; the others are findings."""
    chosen: list[Sampled] = []
    candidates = 0
    for table in open_sink(sink).read(vectors=True):
        found.rows += table.num_rows
        columns = [table.column(name).to_pylist() for name in ("id", "model", "hash", "input_digest")]
        broken = _broken(table)
        for row, (id_, model, hash_, digest) in enumerate(zip(*columns, strict=True)):
            label = {"id": id_, "model": model, "hash": hash_}
            if broken[row]:
                found.note("corrupt", label)
            elif hash_ not in known:
                found.note("unknown space", label)
            else:
                candidates += 1
                at = len(chosen) if len(chosen) < sample else chance.randrange(candidates)
                if at < sample:
                    one = Sampled(id_, model, hash_, digest, _bytes(table, row))
                    chosen[at : at + 1] = [one]
    if not found.rows:
        raise JobError(f"{sink} holds no rows of a backfill")
    return chosen


def _broken(table: pa.Table) -> list[bool]:
    """Which vectors cannot be of a model: not finite, or not of length 1; bits of ``binary`` always can."""
    kind = table.schema.field("vector").type
    if not pa.types.is_fixed_size_list(kind):
        return [one is None for one in table.column("vector").to_pylist()]
    flat = table.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    vectors = flat.reshape(table.num_rows, -1) / (INT8_SCALE if kind.value_type == pa.int8() else 1)
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(vectors, axis=1)
    broken: list[bool] = (~(np.abs(lengths - 1) < UNIT_TOLERANCE * (5 if kind.value_type == pa.int8() else 1))).tolist()
    return broken


def _bytes(table: pa.Table, row: int) -> bytes:
    value = table.column("vector")[row]
    return bytes(value.values.to_numpy(zero_copy_only=False).tobytes() if hasattr(value, "values") else value.as_py())


def _compare(
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
    prepare = Prepare(opened, Wanted(artifact.spec.reference, "development"))
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

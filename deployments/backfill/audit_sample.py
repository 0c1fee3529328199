"""Every row of a sink, looked at, and a fair sample of those that can be computed again."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from deployments.backfill.audit_findings import Audit
from deployments.backfill.sinks import open_sink
from deployments.backfill.sources.base import Id
from deployments.backfill.stored_vector import INT8_SCALE
from models.catalog.artifact import Artifact
from models.errors import JobError
from models.redaction import redacted

UNIT_TOLERANCE = 1e-2  # of a vector's length; float16 and int8 round more than engines do


@dataclass(frozen=True)
class Sampled:
    """A row of a sink."""

    id: Id
    model: str
    hash: str
    made_of: str  # its digest
    vector: bytes


def chosen_rows(
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
        raise JobError(f"{redacted(sink)} holds no rows of a backfill")
    return chosen


def _broken(table: pa.Table) -> list[bool]:
    """Which vectors cannot be of a model: not finite, or not of length 1; bits of ``binary`` always can."""
    kind = table.schema.field("vector").type
    if not pa.types.is_fixed_size_list(kind):
        return [one is None for one in table.column("vector").to_pylist()]
    column = table.column("vector").combine_chunks()
    there = np.array(column.is_valid())
    flat = column.drop_null().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    vectors = flat.reshape(-1, kind.list_size) / (INT8_SCALE if kind.value_type == pa.int8() else 1)
    lengths = np.zeros(table.num_rows)  # of a row without a vector too
    with np.errstate(all="ignore"):
        lengths[there] = np.linalg.norm(vectors, axis=1)
    broken: list[bool] = (~(np.abs(lengths - 1) < UNIT_TOLERANCE * (5 if kind.value_type == pa.int8() else 1))).tolist()
    return broken


def _bytes(table: pa.Table, row: int) -> bytes:
    value = table.column("vector")[row]
    return bytes(value.values.to_numpy(zero_copy_only=False).tobytes() if hasattr(value, "values") else value.as_py())

"""Which Arrow columns can be ids, texts and pictures."""

from __future__ import annotations

import pyarrow as pa
from pyarrow import types

from deployments.backfill.sources.base import IDS, PICTURES, TEXTS, missing_column, wrong_type


def check_columns(schema: pa.Schema, path: str, id: str, column: str, *, pictures: bool | None) -> None:  # noqa: A002 - as the option is called
    """Refuse a file or table that lacks a column, or has it of another type.

    Raises:
        JobError: it does.
    """
    for name in (id, column):
        if name not in schema.names:
            raise missing_column(path, name, schema.names)
    ids, values = schema.field(id).type, schema.field(column).type
    if not (is_string(ids) or types.is_integer(ids)) or types.is_uint64(ids):
        raise wrong_type(path, id, str(ids), IDS)
    if not (is_string(values) or (pictures is not False and is_bytes(values))):
        raise wrong_type(path, column, str(values), PICTURES if pictures else TEXTS)


def is_string(kind: pa.DataType) -> bool:
    """Whether a column holds strings."""
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a column holds bytes."""
    if types.is_struct(kind):  # as the `datasets` library stores pictures: {bytes, path}
        return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def value_of(value: object) -> object:
    """What a row of such a column holds."""
    return value.get("bytes") or value.get("path") if isinstance(value, dict) else value

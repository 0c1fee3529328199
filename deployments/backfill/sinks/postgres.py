"""A table of PostgreSQL with pgvector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from deployments.backfill.job import StoredType
from deployments.backfill.postgres.server import Server, connected
from deployments.backfill.postgres.vector_type import from_wire, to_wire, vector_type
from deployments.backfill.private_state import private_state
from deployments.backfill.sinks.base import COLUMNS, Sink, Stamp
from deployments.backfill.stored_vector import stored_type
from models.errors import JobError

READ_ROWS = 4096  # at a time
ORDER = ("id", "vector", "model", "hash", "numerics", "time", "input_digest")
CREATE = """
create table if not exists {table} (
  id {id} not null, vector {vector} not null, model text not null, hash text not null, numerics text not null,
  time timestamptz not null, input_digest text not null, primary key (id, model, hash))
"""
UPSERT = """
insert into {table} ({columns}) select {columns} from block on conflict (id, model, hash) do update
set vector = excluded.vector, numerics = excluded.numerics, time = excluded.time, input_digest = excluded.input_digest
"""
COLUMN_TYPE = """
select format_type(atttypid, atttypmod) from pg_attribute where attrelid = {table}::regclass and attname = {column}
"""


class PostgresSink(Sink):
    """``postgresql://user@host/database?table=[schema.]name``; a block is one transaction."""

    def __init__(self, uri: str) -> None:
        """Name the server and the table."""
        super().__init__(uri)
        self._server, self._table = Server.with_table(uri)

    @classmethod
    def takes(cls, uri: str) -> bool:
        """Whether it is a URI of libpq's."""
        return Server.names(uri)

    @property
    def state(self) -> str:
        """A folder of this user."""
        return private_state(f"{self._server.public}/{'.'.join(self._table)}")

    def require(self, stored_as: StoredType) -> None:
        """Those that pgvector has a type for."""
        vector_type(stored_as, None)

    def begin(self, stamp: Stamp) -> None:
        """Make the table; refuse one whose columns are of other types."""
        ids = "text" if stamp.string_ids else "bigint"
        vectors = vector_type(stamp.stored_as, stamp.dimensions)
        with self._connected() as (connection, sql):
            table = sql.Identifier(*self._table)
            if not connection.execute("select 1 from pg_extension where extname = 'vector'").fetchone():
                connection.execute("create extension if not exists vector")
            connection.execute(sql.SQL(CREATE).format(table=table, id=sql.SQL(ids), vector=sql.SQL(vectors)))
            for column, wanted in (("id", ids), ("vector", vectors)):
                query = sql.SQL(COLUMN_TYPE).format(table=sql.Literal(table.as_string()), column=sql.Literal(column))
                row = connection.execute(query).fetchone()
                if row is None or row[0] != wanted:
                    found = f"is {row[0]}" if row else "is missing"
                    raise JobError(
                        f"table {'.'.join(self._table)}: column {column} {found}, and {wanted} is needed: name another table"
                    )

    def write(self, stamp: Stamp, number: int, rows: pa.Table) -> None:  # noqa: ARG002 - rows are known by their keys
        """Write a block in one transaction."""
        ids = rows.column("id").to_pylist()
        vectors = to_wire(rows.column("vector").combine_chunks(), stamp.stored_as, stamp.dimensions)
        others = [rows.column(name).to_pylist() for name in ORDER[2:]]
        with self._connected() as (connection, sql):
            table = sql.Identifier(*self._table)
            columns = sql.SQL(", ").join(map(sql.Identifier, ORDER))
            wrap = self._server.adapt(connection, vector_type(stamp.stored_as, None))
            connection.execute(
                sql.SQL("create temporary table block (like {table}) on commit drop").format(table=table)
            )
            copy = sql.SQL("copy block ({columns}) from stdin (format binary)").format(columns=columns)
            with connection.cursor() as cursor, cursor.copy(copy) as target:
                for one, vector, *rest in zip(ids, vectors, *others, strict=True):
                    target.write_row(wrap(one, vector, *rest))
            connection.execute(sql.SQL(UPSERT).format(table=table, columns=columns))

    def count(self, hash: str) -> int:  # noqa: A002 - as the column is called
        """Count on the server."""
        with self._connected() as (connection, sql):
            if not self._exists(connection, sql):
                return 0
            query = sql.SQL("select count(*) from {table} where hash = %s").format(table=sql.Identifier(*self._table))
            row = connection.execute(query, [hash]).fetchone()
        return int(row[0])

    def read(self, *, vectors: bool = False, hash: str | None = None) -> Iterator[pa.Table]:  # noqa: A002 - as the column is called
        """The rows, some thousand at a time."""
        with self._connected() as (connection, sql):
            if not self._exists(connection, sql):
                return
            kind = self._kind(connection, sql)
            wanted = [sql.Identifier(name) for name in COLUMNS]
            if vectors:
                wanted.append(
                    sql.SQL("{}({})").format(sql.Identifier(f"{kind.partition('(')[0]}_send"), sql.Identifier("vector"))
                )
            where = sql.SQL("where hash = {}").format(sql.Literal(hash)) if hash is not None else sql.SQL("")
            query = sql.SQL("select {columns} from {table} {where}").format(
                columns=sql.SQL(", ").join(wanted), table=sql.Identifier(*self._table), where=where
            )
            with connection.cursor("rows", binary=True) as cursor:
                cursor.execute(query)
                while rows := cursor.fetchmany(READ_ROWS):
                    yield _table(rows, kind if vectors else None)

    def _exists(self, connection: Any, sql: Any) -> bool:
        name = sql.Literal(sql.Identifier(*self._table).as_string())
        row = connection.execute(sql.SQL("select to_regclass({name}) is not null").format(name=name)).fetchone()
        return bool(row[0])

    def _kind(self, connection: Any, sql: Any) -> str:
        name = sql.Literal(sql.Identifier(*self._table).as_string())
        query = sql.SQL(COLUMN_TYPE).format(table=name, column=sql.Literal("vector"))
        row = connection.execute(query).fetchone()
        if row is None:
            raise JobError(f"table {'.'.join(self._table)} has no column vector")
        return str(row[0])

    @contextmanager
    def _connected(self) -> Iterator[tuple[Any, Any]]:
        with connected(self._server) as (connection, psycopg):
            yield connection, psycopg.sql


def _table(rows: list[tuple[Any, ...]], kind: str | None) -> pa.Table:
    """Rows of the server as other sinks give them."""
    columns = list(zip(*rows, strict=True))
    strings = not isinstance(columns[0][0], int)
    types = {"id": pa.string() if strings else pa.int64(), "time": pa.timestamp("us", "UTC")}
    found = {name: pa.array(columns[i], types.get(name, pa.string())) for i, name in enumerate(COLUMNS)}
    if kind is not None:
        stored_as, values = from_wire(columns[-1], kind)
        if stored_as == "binary":
            found["vector"] = pa.array([one.tobytes() for one in values], stored_type("binary", 8 * values.shape[1]))
        else:
            wanted = stored_type(stored_as, values.shape[1])
            flat = pa.array(values.reshape(-1), wanted.value_type)
            found["vector"] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.table(found)

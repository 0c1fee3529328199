"""A query of PostgreSQL. Its rows are taken in the order of their ids, which is what finds a block again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from deployments.backfill.job import Rows
from deployments.backfill.postgres.server import Server, connected
from deployments.backfill.sources.base import (
    IDS,
    PICTURES,
    TEXTS,
    Id,
    Planned,
    Read,
    Slice,
    Source,
    changed,
    missing_column,
    wrong_type,
)
from models.errors import JobError

NAME = "the query"
STRINGS = frozenset({"text", "varchar", "bpchar", "name", "uuid", "citext"})
INTEGERS = frozenset({"int2", "int4", "int8"})
# Whatever changes in a row changes the sum; the order of rows does not matter, and the server keeps nothing of them.
FINGERPRINT = """
select count(*), coalesce(sum(hashtextextended(coalesce({id}::text, '') || chr(31) || coalesce({column}::text, ''), 0)), 0)
from ({query}) as embedserve_rows
"""


class PostgresSource(Source):
    """``postgresql://user@host/database`` and a query; a block is known by its first and its last id."""

    def __init__(self, uri: str, id: str, column: str, query: str) -> None:  # noqa: A002 - as the option is called
        """Take ids and what is embedded from these columns of the query."""
        super().__init__(uri, id, column)
        self._server = Server(uri)
        self._query = query.strip().rstrip(";") + "\n"  # which ends a comment on its last line

    @classmethod
    def takes(cls, uri: str) -> bool:
        """Whether it is a URI of libpq's."""
        return Server.names(uri)

    @classmethod
    def of(cls, rows: Rows) -> Source:
        """A job's query."""
        if not rows.query.strip():
            raise JobError("--from postgresql://… needs --query 'select …', which has the columns of --id and --column")
        return cls(rows.source, rows.id, rows.column, rows.query)

    @property
    def picture_base(self) -> str | None:
        """A database has no folder."""
        return None

    def fingerprint(self) -> dict[str, str]:
        """How many rows there are, and a sum over their contents; the server reads all of them for it."""
        with connected(self._server, read_only=True) as (connection, psycopg):
            self._check(connection, psycopg, None)
            count, checksum = connection.execute(self._sql(psycopg, FINGERPRINT)).fetchone()
        return {NAME: f"{count} rows, checksum {checksum}"}

    def plan(self, rows: int, *, pictures: bool | None) -> Iterator[Planned]:
        """Read the ids, a block at a time, through a cursor of the server's."""
        with connected(self._server, read_only=True) as (connection, psycopg):
            self.string_ids = self._check(connection, psycopg, pictures)
            cursor = connection.cursor("ids")
            cursor.execute(self._sql(psycopg, "select {id} from ({query}) as embedserve_rows order by {id}"))
            number = first = 0
            while found := cursor.fetchmany(rows):
                ids = [self._id(row[0]) for row in found]
                if None in ids:
                    raise JobError(f"{NAME} has rows whose {self.id} is null; add `where {self.id} is not null`")
                yield Planned(Slice(number, NAME, first, first, first + len(ids), len(ids), ids[0], ids[-1]), [*ids])
                number, first = number + 1, first + len(ids)

    def read(self, slices: Sequence[Slice]) -> Iterator[Read]:
        """Ask for the rows between two ids; an index on them makes that cheap."""
        statement = "select {id}, {column} from ({query}) as embedserve_rows where {id} >= {low} and {id} <= {high} order by {id}"
        for piece in slices:
            with connected(self._server, read_only=True) as (connection, psycopg):
                query = self._sql(psycopg, statement, low=piece.low, high=piece.high)
                found = connection.cursor(binary=True).execute(query).fetchall()
            if len(found) != piece.rows:
                raise changed(NAME)
            yield Read(piece, [self._id(row[0]) for row in found], [row[1] for row in found])

    def _id(self, value: object) -> Id | None:
        return value if value is None or isinstance(value, int) else str(value)

    def _sql(self, psycopg: Any, statement: str, **literals: Id | None) -> Any:
        names = {name: psycopg.sql.Identifier(name) for name in (self.id, self.column)}
        return psycopg.sql.SQL(statement).format(
            id=names[self.id],
            column=names[self.column],
            query=psycopg.sql.SQL(self._query),
            **{name: psycopg.sql.Literal(value) for name, value in literals.items()},
        )

    def _check(self, connection: Any, psycopg: Any, pictures: bool | None) -> bool:
        """Whether ids are strings.

        Raises:
            JobError: a column is missing, or of another type.
        """
        cursor = connection.execute(self._sql(psycopg, "select * from ({query}) as embedserve_rows limit 0"))
        kinds = {}
        for column in cursor.description:
            info = connection.adapters.types.get(column.type_code)
            kinds[column.name] = info.name if info else f"type {column.type_code}"
        for name in (self.id, self.column):
            if name not in kinds:
                raise missing_column(NAME, name, list(kinds))
        if kinds[self.id] not in STRINGS | INTEGERS:
            raise wrong_type(NAME, self.id, kinds[self.id], IDS)
        if kinds[self.column] not in (STRINGS if pictures is False else STRINGS | {"bytea"}):
            raise wrong_type(NAME, self.column, kinds[self.column], PICTURES if pictures else TEXTS)
        return kinds[self.id] in STRINGS

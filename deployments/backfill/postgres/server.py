"""A PostgreSQL server as URIs name it, and connections to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from deployments.backfill.extras import needed
from models.errors import JobError
from models.redaction import redacted

SCHEMES = ("postgresql", "postgres")
NAME = re.compile(r"[^.\x00]{1,63}")
PLACE = frozenset({"host", "hostaddr", "port", "dbname", "service"})  # parameters that say where it is
CONNECT_S = 10  # libpq itself waits for minutes


@dataclass(frozen=True)
class Server:
    """How libpq reaches it. A password belongs into PGPASSWORD or libpq's password file; one in the URI works too."""

    uri: str

    @classmethod
    def names(cls, uri: str) -> bool:
        """Whether a URI is one of these."""
        return uri.partition("://")[0].lower() in SCHEMES and "://" in uri

    @classmethod
    def with_table(cls, uri: str) -> tuple[Server, tuple[str, ...]]:
        """The server, and the name of the table that ``?table=`` adds to libpq's own parameters.

        Raises:
            JobError: it adds none.
        """
        parts = urlsplit(uri)
        parameters = parse_qsl(parts.query, keep_blank_values=True)
        tables = [value for name, value in parameters if name == "table"]
        name = tuple(tables[0].split(".")) if len(tables) == 1 else ()
        if not 1 <= len(name) <= 2 or not all(NAME.fullmatch(part) for part in name):
            raise JobError(f"{redacted(uri)} names no table: add ?table=NAME or ?table=SCHEMA.NAME")
        query = urlencode([pair for pair in parameters if pair[0] != "table"])
        return cls(urlunsplit(parts._replace(query=query))), name

    @property
    def public(self) -> str:
        """Its name without user, password and the like."""
        parts = urlsplit(self.uri)
        where = urlencode([pair for pair in parse_qsl(parts.query) if pair[0] in PLACE], safe="/")
        return f"{parts.netloc.rpartition('@')[2]}{parts.path}{f'?{where}' if where else ''}"

    def adapt(self, connection: Any, kind: str) -> Callable[..., tuple[Any, ...]]:
        """Teach a connection to send vectors in the wire's form; what wraps id, vector and other values for that.

        Raises:
            JobError: the server's pgvector has no such type.
        """
        psycopg = needed("psycopg", "postgres", "postgresql://")
        types = needed("psycopg.types", "postgres", "postgresql://")
        numeric = needed("psycopg.types.numeric", "postgres", "postgresql://")
        adapt = needed("psycopg.adapt", "postgres", "postgresql://")
        info = types.TypeInfo.fetch(connection, kind)
        if info is None:
            raise JobError(f"the server has no type {kind}; pgvector 0.7 or newer has all of vector, halfvec and bit")

        class OnTheWire(bytes):
            """A value that needs no more encoding."""

        class Sender(adapt.Dumper):  # type: ignore[misc, name-defined]
            format = psycopg.pq.Format.BINARY
            oid = info.oid

            def dump(self, obj: bytes) -> bytes:
                return bytes(obj)

        connection.adapters.register_dumper(OnTheWire, Sender)

        def wrap(one: str | int, vector: bytes, *others: Any) -> tuple[Any, ...]:
            return (one if isinstance(one, str) else numeric.Int8(one), OnTheWire(vector), *others)

        return wrap


@contextmanager
def connected(server: Server, *, read_only: bool = False) -> Iterator[tuple[Any, Any]]:
    """A connection whose work is one transaction, and the library; committed at the end unless something was raised.

    Raises:
        ConfigError: the library is not installed.
        JobError: the server does not answer, or refuses.
    """
    psycopg = needed("psycopg", "postgres", "postgresql://")
    needed("psycopg.sql", "postgres", "postgresql://")
    try:
        with psycopg.connect(server.uri, connect_timeout=CONNECT_S) as connection:
            connection.read_only = read_only
            yield connection, psycopg
    except psycopg.Error as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise JobError(f"PostgreSQL at {redacted(server.public)}: {redacted(lines[0])}") from error

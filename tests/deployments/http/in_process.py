"""Requests to an application in this process, without a socket, and what it looked for in them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock
from urllib.parse import unquote_to_bytes

import orjson
from starlette.types import ASGIApp, Message, Scope

from tests.faults.wire import Answer

Path = tuple[str | int, ...]  # of a value in a document: names, and 0 for the first item of a list
DEPTH = 4


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    path: str  # as it stands in the request's line
    body: bytes = b""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    query: bytes = b""

    @classmethod
    def of_json(cls, path: str, document: Any) -> Asked:
        """A POST of JSON, which may hold what no writer of JSON writes."""
        body = json.dumps(document).encode("utf-8", "surrogatepass")
        return cls("POST", path, body, {b"content-type": b"application/json"})

    def with_header(self, name: bytes, value: bytes) -> Asked:
        """The same with another header, or another value of it."""
        return replace(self, headers={**self.headers, name: value})

    async def of(self, app: ASGIApp) -> Answer:
        """Ask."""
        scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "method": self.method,
            "path": unquote_to_bytes(self.path).decode("utf-8", "replace"),  # as uvicorn does
            "raw_path": self.path.encode(),
            "query_string": self.query,
            "root_path": "",
            "scheme": "http",
            "headers": [(b"content-length", b"%d" % len(self.body)), *self.headers.items()],
            "client": None,
            "server": None,
        }
        sent: list[Message] = []
        parts: list[Message] = [{"type": "http.request", "body": self.body, "more_body": False}]

        async def receive() -> Message:
            if not parts:
                await asyncio.Event().wait()
            return parts.pop()

        async def send(message: Message) -> None:
            sent.append(message)

        await app(scope, receive, send)
        start, *rest = sent
        names = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(start["status"], names, b"".join(message.get("body", b"") for message in rest))


class _Watched(dict[str, Any]):
    """An object of JSON that notes which of its fields somebody looks for."""

    def __init__(self, document: Mapping[str, Any], at: Path, looked: set[Path]) -> None:
        super().__init__({name: _watched(value, (*at, name), looked) for name, value in document.items()})
        self._at, self._looked = at, looked

    def get(self, key: str, default: Any = None) -> Any:
        self._looked.add((*self._at, key))
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        self._looked.add((*self._at, key))
        return super().pop(key, *default)

    def __getitem__(self, key: str) -> Any:
        self._looked.add((*self._at, key))
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self._looked.add((*self._at, str(key)))
        return super().__contains__(key)


def _watched(value: Any, at: Path, looked: set[Path]) -> Any:
    if isinstance(value, list):
        return [_watched(item, (*at, 0), looked) for item in value]
    return _Watched(value, at, looked) if isinstance(value, dict) else value


class _WatchedName(bytes):
    """The name of a header that notes with which others it is compared."""

    looked: set[bytes]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, bytes):
            self.looked.add(bytes(other))
        return super().__eq__(other)

    __hash__ = bytes.__hash__


@contextmanager
def watching() -> Iterator[set[Path]]:
    """The fields of JSON bodies that anybody looks for until the block ends."""
    looked: set[Path] = set()
    loads = orjson.loads
    with mock.patch.object(orjson, "loads", lambda body: _watched(loads(body), (), looked)):
        yield looked


async def headers_of(app: ASGIApp, asked: Asked) -> set[bytes]:
    """The headers that the application looks for in a request."""
    name = _WatchedName(b"x-nothing")
    name.looked = set()
    await asked.with_header(name, b"1").of(app)
    return name.looked - {b"x-nothing"}


def changed(document: Any, path: Path, value: Any) -> Any:
    """A copy of a document with a value in a place, which is made if it is not there."""
    if not path:
        return value
    step, *rest = path
    if isinstance(step, int):
        inner = document[0] if isinstance(document, list) and document else None
        return [changed(inner, tuple(rest), value)]
    copy = deepcopy(document) if isinstance(document, dict) else {}
    return {**copy, step: changed(copy.get(step), tuple(rest), value)}


@dataclass(frozen=True)
class Fields:
    """What a route looks for in JSON."""

    found: dict[Path, Any]  # every field, and a document in which it was looked for
    good: Any  # a document that is answered well; the last one that was tried, where none is


async def fields_of(app: ASGIApp, path: str, shapes: Sequence[Any], start: Any) -> Fields:
    """Find out.

    Whatever it looks for is tried with values of several shapes, because what it looks for next depends on them.
    """
    found: dict[Path, Any] = {}
    good = document = start
    waiting = [start]
    while waiting:
        document = waiting.pop(0)
        with watching() as looked:
            answer = await Asked.of_json(path, document).of(app)
        if answer.status == 200 and good is start:
            good = document
        for place in sorted(looked - found.keys(), key=str):
            found[place] = document
            if len(place) <= DEPTH:
                waiting += [changed(document, place, shape) for shape in shapes]
    return Fields(found, document if good is start else good)

"""What strangers send: every odd value in every field, header, query and path of every route."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

import orjson
from starlette.routing import Route
from starlette.types import ASGIApp

from deployments.http.fields import MEANT, PLAIN
from deployments.http.headers import RARE
from tests.deployments.http.in_process import Asked, Path, changed, fields_of, headers_of
from tests.deployments.http.service import TEXT
from tests.faults.hostile.json_bodies import JUNK, TEXTS

Case = Callable[[], Asked]  # made when it is sent: there are hundreds of thousands
JSON, PICTURE = b"application/json", b"image/png"
SHAPES: tuple[Any, ...] = ("m", "both", TEXT, [TEXT], {}, [{}], "text", "BYTES", [1])
VALUES: dict[str, Any] = {
    **JUNK,
    **TEXTS,
    "nothing": None,
    "NaN as a word": "NaN",
    "a lone surrogate": "\ud800",
    "keys of odd names": {"": 1, "\0": 2, "__proto__": {}},
}
BODIES = (b"", b"\xff\xfe", b"{", b"[]", b"null", b'{"a":' * 5000, b"\x00" * 100, b'{"input":"\\ud800"}', b'"' * 5000)
KINDS = (JSON, b"", PICTURE, b"multipart/form-data; boundary=b", b"multipart/form-data", b"a/b")
BYTES = (
    b"", b"0", b"1", b"-1", b"1e400", b"nan", b"1" * 5000, b"true", b"\xff\xfe\x80", "٣".encode(), b"x" * 8000, b"*", b",",
    b'"', b"=;=", b"..", b"a b\tc", b"bytes=0-1", b"gzip, gzip", b"m@1", b"m@", b"null", b"%00", b"%ff", b"%zz", b"{}",
)  # fmt: skip
ODD_NAMES = (
    "",
    "%00",
    "..",
    "%2e%2e",
    "%ff",
    "%ed%a0%80",
    "%C3%A9" * 2000,
    "a/b/../c",
    "@",
    "m@",
    "@1",
    "%20",
    "%0d%0ax:y",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW")
SEVERAL = 5000  # requests to each route with several odd values
THERE = {"model": "m", "version": "1", "deployment": "m", "file": "main.js", "rest": "status"}


async def cases(app: ASGIApp, route: Route) -> AsyncIterator[Case]:
    """All that are sent to a route."""
    path = route.path_format.format(**THERE)
    for case in of_paths(route, path):
        yield case
    for method in sorted((route.methods or set()) - {"HEAD"}):
        for case in of_queries(method, path):
            yield case
        fields = await fields_of(app, path, SHAPES, {"model": "m"}) if method == "POST" else None
        async for case in of_headers(app, Asked(method, path, orjson.dumps(fields and fields.good))):
            yield case
        if fields is not None and fields.found:
            places = {(name,): fields.good for name in sorted(MEANT)} | fields.found
            for place, document in places.items():
                for case in of_field(path, place, document, fields.good):
                    yield case
            for number in range(SEVERAL):
                yield partial(of_several, path, list(places), fields.good, number)


def of_paths(route: Route, path: str) -> Iterator[Case]:
    """Every method, every odd name in the place of a parameter, and bodies that are no JSON."""
    for method in METHODS:
        yield partial(Asked, method, path)
    for parameter in route.param_convertors:
        for odd in ODD_NAMES:
            there = route.path_format.format(**{**THERE, parameter: odd})
            for method in sorted(route.methods or ()):
                yield partial(Asked, method, there)
    for body in BODIES:
        for kind in KINDS:
            yield partial(Asked, "POST", path, body, {b"content-type": kind})


def of_queries(method: str, path: str) -> Iterator[Case]:
    """Every value in every field of a query, which may have those of a body."""
    fields = {f"{name}={quote(value)}".encode() for name in ("", *MEANT, *PLAIN) for value in BYTES}
    for query in (*sorted(fields), b"&" * 4000, b"model=m&model=m@1", b"%ff=%zz", b"a=\x00\xff", b"\xff=1", b"?=?"):
        yield partial(Asked, method, path, b"x", {b"content-type": PICTURE}, query)


async def of_headers(app: ASGIApp, asked: Asked) -> AsyncIterator[Case]:
    """Every value in every header that is looked for in a request."""
    for kind in KINDS if asked.method == "POST" else (b"",):
        so = asked.with_header(b"content-type", kind)
        for name in sorted(RARE | await headers_of(app, so)):
            for value in BYTES:
                yield partial(so.with_header, name, value)


def of_field(path: str, place: Path, document: Any, good: Any) -> Iterator[Case]:
    """Every value in a field, in the document in which it was looked for and in a good one."""
    for beside in (document, good):
        for value in VALUES.values():
            yield partial(of_value, path, beside, place, value)
            yield partial(of_value, path, beside, place, [value, value])


def of_several(path: str, places: Sequence[Path], document: Any, number: int) -> Asked:
    """A document with values in two to five places."""
    chance = random.Random(f"{path} {number}")
    for place in chance.sample(places, min(len(places), chance.randint(2, 5))):
        document = changed(document, place, chance.choice(list(VALUES.values())))
    return Asked.of_json(path, document)


def of_value(path: str, document: Any, place: Path, value: Any) -> Asked:
    """A document with a value in a place."""
    return Asked.of_json(path, changed(document, place, value))

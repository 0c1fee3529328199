"""Requests that are odd as HTTP: methods, paths, headers, content types, and bodies in the wrong measure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.faults.hostile import no_http
from tests.faults.hostile.case import EITHER, JSON, SERVED, Case
from tests.faults.wire import request

BODY = json.dumps({"model": "text-embedding", "input": "hello"}).encode()
ROUTES = (
    "/v1/embeddings",
    "/v1/embeddings/image",
    "/v1/models",
    "/v1/models/text-embedding",
    "/v2",
    "/v2/models/text-embedding",
    "/v2/models/text-embedding/ready",
    "/v2/models/text-embedding/infer",
    "/v2/models/text-embedding/versions/1.0.0",
    "/v2/models/text-embedding/versions/1.0.0/infer",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/docs",
    "/openapi.json",
)
POSTED = tuple(route for route in ROUTES if route.endswith(("embeddings", "image", "infer")))
UNKNOWN = "BREW"  # to the replicas' HTTP parser, which refuses it in plain text
METHODS = ("PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", UNKNOWN)
PATHS = {
    "nothing there": "/nothing",
    "a file of the system": "/../../../../etc/passwd",
    "an escaped file of the system": "/%2e%2e/%2e%2e/etc/passwd",
    "doubly escaped": "/v1/models/%252e%252e%252f",
    "a NUL": "/v1/models/text-embedding%00",
    "no UTF-8": "/v1/models/%ff%fe",
    "an overlong slash": "/v1/models/%c0%af",
    "an escape that is none": "/v1/models/%zz",
    "a model of 8,000 letters": "/v1/models/" + "x" * 8000,
    "a thousand folders": "/a" * 1000,
    "slashes": "//////",
    "capital letters": "/V1/EMBEDDINGS",
    "a semicolon": "/v1/embeddings;jsessionid=1",
    "a fragment": "/v1/embeddings#x",
    "an unknown version": "/v2/models/text-embedding/versions/9.9.9/infer",
    "no version": "/v2/models/text-embedding/versions//infer",
    "a model that is a version": "/v2/models/text-embedding@/infer",
    "a line feed": "/v1/models/a%0d%0aset-cookie:%20x=1",
    "markup": "/v1/models/%3Cscript%3E",
    "emoji": "/v1/models/%F0%9F%91%BB",
    "Serve's own routes": "/-/nothing",
}
TYPES = (
    "text/plain", "text/html", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data",
    "image/png", "application/octet-stream", "application/jsonx", "application", "/", "application/json5",
    "application/x-ndjson", "a/b/c", "\u00e4/\u00f6", "x" * 4000, "application/json, text/html",
)  # fmt: skip
FINE_TYPES = (
    "",
    "application/json; charset=utf-16",
    "APPLICATION/JSON",
    "application/vnd.api+json",
    "application/json;;;",
)
HEADERS: dict[str, tuple[str, bytes]] = {
    "a deadline of words": ("x-request-timeout-seconds", b"soon"),
    "a deadline of nothing": ("x-request-timeout-seconds", b""),
    "a deadline of zero": ("x-request-timeout-seconds", b"0"),
    "a negative deadline": ("x-request-timeout-seconds", b"-5"),
    "a deadline of NaN": ("x-request-timeout-seconds", b"nan"),
    "an endless deadline": ("x-request-timeout-seconds", b"inf"),
    "a deadline of 1e400": ("x-request-timeout-seconds", b"1e400"),
    "a deadline of a day": ("x-request-timeout-seconds", b"86400"),
    "a deadline in other digits": ("x-request-timeout-seconds", "٣x".encode()),
    "a deadline of 5,000 digits": ("x-request-timeout-seconds", b"1" * 5000),
    "an unknown priority": ("x-priority", b"urgent"),
    "an empty priority": ("x-priority", b""),
    "two priorities": ("x-priority", b"bulk, interactive"),
    "an encoding that nobody unpacks": ("content-type", b"text/gzip"),
    "gzip that is none": ("content-encoding", b"gzip"),
    "an encoding that nobody knows": ("content-encoding", b"\xff"),
}
FINE_HEADERS: dict[str, tuple[str, bytes]] = {
    "a request id of 5,000 letters": ("x-request-id", b"x" * 5000),
    "a request id that is markup": ("x-request-id", b"<script>"),
    "a request id of bytes": ("x-request-id", b"\xff\xfe\x80"),
    "a routing key of bytes": ("x-routing-key", b"\xff\xfe\x80"),
    "a routing key of 8,000 letters": ("x-routing-key", b"k" * 8000),
    "a forged internal deadline": ("x-embedserve-timeout-seconds", b"5"),
    "another host": ("x-forwarded-host", b"evil"),
    "a forwarded path": ("x-original-url", b"/metrics"),
    "a multiplexed model": ("serve_multiplexed_model_id", b"../../x"),
    "a range": ("range", b"bytes=0-1"),
    "an origin": ("origin", b"null"),
    "a cookie of 8,000 letters": ("cookie", b"c=" + b"x" * 8000),
    "a key where none is asked for": ("authorization", b"Bearer \xff\xfe"),
    "an upgrade to websockets": ("sec-websocket-key", b"AAAA"),
    "an accept of nothing": ("accept", b"nothing/at-all"),
    "traces that are none": ("traceparent", b"00-zz-zz-zz"),
}


def cases() -> Iterator[Case]:
    """All of them."""
    for route in ROUTES:
        for method in METHODS:
            yield Case(f"{method} of {route}", (request(b"", route, (), method),), entrance=method == UNKNOWN)
        wrong = "GET" if route in POSTED else "POST"
        yield Case(f"{wrong} of {route}", (request(b"", route, (), wrong),))
    for name, path in PATHS.items():
        for method in ("GET", "POST"):
            yield Case(f"{method} of a path with {name}", (request(BODY, path, JSON, method),), entrance="#" in path)
    for kind in TYPES:
        yield Case(f"JSON as {kind[:40]}", (request(BODY, headers=[("content-type", kind)]),))
    for kind in FINE_TYPES:
        yield Case(f"JSON as {kind!r}", (request(BODY, headers=[("content-type", kind)] if kind else ()),), SERVED)
    for route in POSTED:
        yield Case(f"{route} with nothing at all", (request(b"", route, ()),))
    for name, header in HEADERS.items():
        headers = (header,) if header[0] == "content-type" else (*JSON, header)
        yield Case(f"JSON with {name}", (request(BODY, headers=headers),))
    for name, header in FINE_HEADERS.items():
        yield Case(f"JSON with {name}", (request(BODY, headers=(*JSON, header)),), SERVED)
    for name, data in no_http.requests(BODY).items():
        yield Case(f"no HTTP: {name}", (data,), EITHER | {417, 422, 501, 505}, entrance=True)

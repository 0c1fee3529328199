"""What HAProxy answers by itself, in JSON: broken bodies, paths that lead nowhere, gateways that end.

What it cannot read as a request at all it refuses in words of its own, which no setting changes: 400, 408, 422 or 501 in HTML.
"""

from __future__ import annotations

import json
from typing import Final

from deployments.serve_internals.haproxy_lines import RETRY

CALLER, SERVICE = "invalid_request_error", "server_error"
# Status, headers, message, code, type. Ray makes a 500 in plain text of those from 502 on.
OWN: Final = (
    (400, "", "the body of the request, or what stands behind it, is no HTTP/1.1", None, CALLER),
    (408, "", "the request had not arrived in time", "body_too_slow", CALLER),
    (500, "", "an internal error of HAProxy", "internal_error", SERVICE),
    (502, RETRY, "the gateway ended before it answered; send the request again", "unavailable", SERVICE),
    (503, RETRY, "the service is at capacity, or no gateway is ready", "unavailable", SERVICE),
    (504, "", "the gateway did not answer in time", "deadline_exceeded", SERVICE),
)


def error_body(message: str, code: str | None, type_: str = SERVICE) -> str:
    """The body of an error, quoted as HAProxy reads strings."""
    document = {"error": {"message": message, "type": type_, "param": None, "code": code}}
    return f"'{json.dumps(document, separators=(',', ':'))}'"


def own_answers() -> list[str]:
    """Lines of the section that all others inherit from."""
    return [
        f"    http-error status {status} content-type application/json hdr x-request-id %[unique-id] {headers} "
        f"string {error_body(message, code, type_)}"
        for status, headers, message, code, type_ in OWN
    ]


def nowhere_lines() -> list[str]:
    """Of the backend for what belongs to no application: no path, or no gateway is deployed yet."""
    answer = "http-request return content-type application/json hdr x-request-id %[unique-id]"
    lost = error_body("no such route: a path begins with /; GET /docs lists the routes", "not_found", CALLER)
    early = error_body("no gateway is ready", "unavailable")
    return [
        f"    {answer} status 404 string {lost} unless {{ path_beg / }}",
        f"    {answer} status 503 {RETRY} string {early}",
    ]

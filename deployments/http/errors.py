"""Exceptions as answers."""

from __future__ import annotations

import orjson
from ray.exceptions import RayTaskError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from deployments.contract.short_repr import short_repr
from deployments.http.error_shapes import body_of
from deployments.http.inflate import ACCEPTED
from deployments.http.places import UNREAD
from deployments.http.retry import retry_headers
from deployments.http.status import status_of
from deployments.observability.logging import logger
from deployments.observability.request_record import RECORD
from deployments.serve_internals.haproxy_rules import LAST
from models.errors import (
    AuthenticationError,
    ContentEncodingError,
    EmbedserveError,
    RateLimitError,
    UnavailableError,
)
from models.redaction import for_everybody

KNOWN = 1.2
CODES = {404: "not_found", 405: "method_not_allowed", 503: "unavailable", 504: "deadline_exceeded"}


def error_response(
    scope: Scope,
    status: int,
    message: str,
    kind: str,
    *,
    param: str | None = None,
    code: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """An error in the shape that the request's protocol has."""
    error = {"message": message, "type": kind, "param": param, "code": code or CODES.get(status)}
    return Response(
        orjson.dumps(body_of(scope.get("method", ""), scope["path"], error)), status, headers, "application/json"
    )


def respond(error: Exception, scope: Scope) -> Response:
    """The answer to an exception, whose class is noted in the request's record.

    What was not raised on purpose is logged, and answered with a 500 that tells nothing of the inside.
    """
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, HTTPException):
        return _unrouted(cause, scope)
    status = status_of(cause)
    record = RECORD.get()
    if record is not None:
        record.error = type(cause).__name__
    if isinstance(cause, EmbedserveError) and status != 500:
        kind = "invalid_request_error" if status < 500 else "server_error"
        headers = _headers(cause, scope)
        param, code = getattr(cause, "param", None), getattr(cause, "code", None)
        message = str(cause) if status < 500 else for_everybody(cause)  # below 500 it speaks of the caller's own input
        return error_response(scope, status, message, kind, param=param, code=code, headers=headers)
    logger.error("a request failed by a defect of ours", exc_info=error)
    return error_response(scope, 500, "an internal error; it has been logged", "server_error", code="internal_error")


def _headers(error: EmbedserveError, scope: Scope) -> dict[str, str]:
    """What an answer says beside its body: when to try again, how to authenticate, that the connection ends."""
    headers = {"connection": "close", LAST: "1"} if scope.get(UNREAD) else {}  # the rest of the body may never come
    if isinstance(error, UnavailableError):
        headers |= retry_headers(error.retry_after_s)
    if isinstance(error, RateLimitError):
        headers |= retry_headers(error.retry_after_s, KNOWN)  # when its allowance is there is known
    if isinstance(error, ContentEncodingError):
        headers["accept-encoding"] = ACCEPTED  # RFC 9110, 12.5.3: the codings that would have been accepted
    if isinstance(error, AuthenticationError):
        headers["www-authenticate"] = 'Bearer realm="embedserve"'
    return headers


def _unrouted(error: HTTPException, scope: Scope) -> Response:
    """The answer to what Starlette raises: unknown routes, wrong methods, requests that it cannot read."""
    status, headers = error.status_code, dict(error.headers or {})
    if status == 404:
        message = f"no route {short_repr(scope['path'])}; GET /docs lists the routes"
    elif status == 405:
        allowed = headers.get("Allow", "see /docs")
        message = f"{scope['method']} is not allowed on {short_repr(scope['path'])}; allowed: {allowed}"
    else:
        message = error.detail or "the request could not be read"
    return error_response(scope, status, message, "invalid_request_error", headers=headers)

"""The headers that every protocol shares: deadline, priority, routing key, and what a request says of its inputs."""

from __future__ import annotations

from starlette.requests import Request

from deployments.config.gateway import TokenVocabulary
from deployments.contract.header_number import decimal_number
from deployments.contract.short_repr import short_repr
from deployments.gateway.token_ids import HEADER, vocabulary_of
from models.errors import InputError

HEADERS = "embedserve.headers"  # where the headers of a request stand in its scope, by name
TIMEOUT_HEADERS = (b"x-embedserve-timeout-seconds", b"x-request-timeout-seconds")
MAX_TIMEOUT_S = 3600.0
PRIORITY_HEADER = b"x-priority"
ROUTING_HEADER = b"x-routing-key"
TRUNCATE_HEADER = b"x-truncate"
VOCABULARY_HEADER = HEADER.encode()
# Those of which most requests have none, so that one look is enough.
RARE = frozenset((*TIMEOUT_HEADERS, PRIORITY_HEADER, TRUNCATE_HEADER, VOCABULARY_HEADER))


def header_of(request: Request, name: bytes) -> str | None:
    """The value of a header, the first where it was sent more than once."""
    value = _headers(request).get(name)
    return None if value is None else str(value, "latin-1")


def _headers(request: Request) -> dict[bytes, bytes]:
    """All of them, by name. Every request is asked for six or more, and most of those it lacks."""
    scope = request.scope
    found: dict[bytes, bytes] | None = scope.get(HEADERS)
    if found is None:
        found = scope[HEADERS] = dict(reversed(scope["headers"]))
    return found


def has_rare(request: Request) -> bool:
    """Whether a request has any of the headers that most have not."""
    return not RARE.isdisjoint(_headers(request))


def timeout_of(request: Request) -> float | None:
    """The caller's deadline in seconds, when it sent one.

    Raises:
        InputError: it is no number above 0, or above an hour.
    """
    for name in TIMEOUT_HEADERS:
        value = header_of(request, name)
        if value is not None:
            seconds = decimal_number(value)
            if seconds is None or not 0 < seconds <= MAX_TIMEOUT_S:
                raise InputError(
                    f"x-request-timeout-seconds must be a number above 0 and at most {MAX_TIMEOUT_S:g}, not {short_repr(value)}",
                    param="x-request-timeout-seconds",
                )
            return seconds
    return None


def routing_key_of(request: Request) -> str | None:
    """The key whose requests A/B routing sends to one version always, when the caller sent one."""
    return header_of(request, ROUTING_HEADER) or None


def bulk_of(request: Request) -> bool:
    """Whether the caller said that nobody waits for this request.

    Raises:
        InputError: a priority that does not exist.
    """
    value = header_of(request, PRIORITY_HEADER)
    if value is None or value == "interactive":
        return False
    if value != "bulk":
        raise InputError(f"x-priority must be 'interactive' or 'bulk', not {short_repr(value)}", param="x-priority")
    return True


def token_vocabulary_of(request: Request) -> TokenVocabulary | None:
    """Whose token ids a request holds, when it says so.

    Raises:
        InputError: a vocabulary that does not exist.
    """
    value = header_of(request, VOCABULARY_HEADER)
    return None if value is None else vocabulary_of(value)


def truncates(request: Request) -> bool:
    """Whether the header ``x-truncate`` leaves it to the service to cut what is too long.

    Raises:
        InputError: neither true nor false.
    """
    value = header_of(request, TRUNCATE_HEADER)
    if value is None or value == "true":
        return True
    if value != "false":
        raise InputError(f"x-truncate must be 'true' or 'false', not {short_repr(value)}", param="x-truncate")
    return False

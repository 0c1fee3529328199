"""Errors as HTTP status codes: no other file knows which is which."""

from __future__ import annotations

from models.errors import (
    AuthenticationError,
    DeadlineError,
    EmbedserveError,
    ForbiddenError,
    InputError,
    LimitError,
    MediaTypeError,
    ModelNotFoundError,
    NotOfferedError,
    RateLimitError,
    SlowInputError,
    UnavailableError,
)

# The first that matches counts, so that subclasses stand before their bases.
STATUS: list[tuple[type[EmbedserveError], int]] = [
    (LimitError, 413),
    (MediaTypeError, 415),
    (SlowInputError, 408),
    (InputError, 400),
    (AuthenticationError, 401),
    (ForbiddenError, 403),
    (ModelNotFoundError, 404),
    (RateLimitError, 429),
    (NotOfferedError, 501),
    (UnavailableError, 503),
    (DeadlineError, 504),
]
# Statuses of requests that were refused for load, and the reason as the metrics name it.
SHED = {429: "rate", 503: "capacity", 504: "deadline"}


def status_of(error: BaseException) -> int:
    """The status code that an error is answered with; 500 for whatever was not raised on purpose."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)

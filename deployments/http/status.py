"""The one mapping of errors to HTTP status codes."""

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
    RateLimitError,
    SlowInputError,
    UnavailableError,
)

# First match wins: subclasses before their bases.
STATUS: list[tuple[type[EmbedserveError], int]] = [
    (LimitError, 413),
    (MediaTypeError, 415),
    (SlowInputError, 408),
    (InputError, 400),
    (AuthenticationError, 401),
    (ForbiddenError, 403),
    (ModelNotFoundError, 404),
    (RateLimitError, 429),
    (UnavailableError, 503),
    (DeadlineError, 504),
]
# Why a request was refused for load, as the metrics count it.
SHED = {429: "rate", 503: "capacity", 504: "deadline"}


def status_of(error: BaseException) -> int:
    """The status code an error is answered with; 500 for everything that was not raised on purpose."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)

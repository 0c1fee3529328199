"""API keys as they are kept: names, scopes and hashes, never the keys themselves."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from deployments.config.base import Strict
from models.errors import ConfigError

Scope = Literal["embed", "admin"]
PREFIX = "es_"  # by which scanners for leaked secrets find a key
# 256 bits cannot be guessed, so that a fast hash protects a key as well as a slow one protects a password.
RANDOM_BYTES = 32


class ApiKey(Strict):
    """One key as it is kept."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]  # whose it is; rate limits go by it
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", repr=False)]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    created: AwareDatetime | None = None
    expires: AwareDatetime | None = None  # from then on it is refused

    def expired(self, now: float) -> bool:
        """Whether its time is over at ``now``, seconds since 1970."""
        return self.expires is not None and self.expires.timestamp() <= now


def hash_of(key: str) -> str:
    """sha256 of a key, 64 hex digits."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def new_key(
    name: str, scopes: tuple[Scope, ...], expires: datetime | None = None, where: str = "the key"
) -> tuple[str, ApiKey]:
    """A fresh random key, and the entry that is kept of it.

    Raises:
        ConfigError: the name or a scope is not allowed.
    """
    key = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    entry = {"name": name, "sha256": hash_of(key), "scopes": scopes, "created": _now(), "expires": expires}
    try:
        return key, ApiKey.model_validate(entry)
    except ValidationError as error:
        raise ConfigError(f"{where} is invalid: {'; '.join(problems(error, ApiKey))}") from None


def problems(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    """Each wrong field of a document, and never its value: it might be a key that was put there by mistake.

    Args:
        error: what pydantic found.
        model: what the document should have been.
    """
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        unknown = item["type"] == "extra_forbidden"
        place = ".".join(str(part) for part in (item["loc"][:-1] if unknown else item["loc"])) or "the document"
        allowed = ", ".join((ApiKey if place.startswith("keys.") else model).model_fields)
        yield f"{place} has an unknown key; allowed: {allowed}" if unknown else f"{place}: {item['msg']}"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)

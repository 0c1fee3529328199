"""Where vectors that were computed are kept."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from deployments.config.base import MIB, Strict


class SharedCacheConfig(Strict):
    """A Redis or Valkey server that all gateways ask for what their own memory lacks.

    Its URL may hold a password and so never stands here: exactly one of ``url_env`` and ``url_file`` says where it is.
    """

    url_env: str | None = None  # an environment variable of every node that may run a gateway
    url_file: str | None = None  # a file there, such as a mounted secret
    timeout_ms: Annotated[float, Field(ge=1, le=1000)] = 5.0  # a near server needs 1; in 5 a short text is computed
    ttl_s: Annotated[int, Field(ge=1)] = 7 * 86_400  # vectors of artifacts that serve no more go within a week
    waiting_writes: Annotated[int, Field(ge=1)] = (
        4096  # per gateway, 8 MB at 512 dimensions; beyond it they are dropped
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.url_env is None) == (self.url_file is None):
            raise ValueError("a shared cache has either url_env or url_file")
        return self


class Cache(Strict):
    """The gateway's cache of vectors."""

    bytes: Annotated[int, Field(ge=0)] = 256 * MIB  # about 150,000 texts at 384 dimensions; 0 switches it off
    shared: SharedCacheConfig | None = None  # off: one gateway gains nothing from it, and it is one more thing to run

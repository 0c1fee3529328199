"""Where vectors that were computed are kept."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from deployments.config.base import MIB, Strict


class SharedCacheConfig(Strict):
    """A Redis or Valkey server that all gateways ask for vectors that are not in their own memory.

    The server's URL may hold a password, so it is not written here: exactly one of ``url_env`` and ``url_file`` says
    where the gateway finds it.
    """

    url_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = (
        None  # an environment variable on every node that may run a gateway; none: url_file says it
    )
    url_file: str | None = None  # a file on those nodes, such as a mounted secret; none: url_env says it
    timeout_ms: Annotated[float, Field(ge=1, le=1000)] = 5.0  # a server nearby takes 1; an encoder a short text in 5
    ttl_s: Annotated[int, Field(ge=1)] = 7 * 86_400  # a week after its artifact was replaced, a vector is gone
    # Per gateway, 8 MB at 512 dimensions; writes beyond it are dropped, so that a slow server costs no memory.
    waiting_writes: Annotated[int, Field(ge=1)] = 4096

    @field_validator("url_file")
    @classmethod
    def _check_file(cls, path: str | None) -> str | None:
        if path is not None and "://" in path:
            raise ValueError("must be the path of a file that holds the URL, and not the URL itself")
        return path

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.url_env is None) == (self.url_file is None):
            raise ValueError("a shared cache needs exactly one of url_env and url_file")
        return self


class Cache(Strict):
    """The gateway's cache of vectors."""

    bytes: Annotated[int, Field(ge=0)] = 256 * MIB  # about 150,000 vectors of 384 dimensions; 0 switches it off
    # Off: a single gateway gains nothing, and the server is one more thing to run.
    shared: SharedCacheConfig | None = None

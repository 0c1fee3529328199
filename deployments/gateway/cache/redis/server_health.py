"""Whether the server is in use: a circuit breaker with a clock, which logs when it opens and closes."""

from __future__ import annotations

import time
from collections.abc import Sequence

from deployments.gateway.cache.redis.circuit_breaker import CircuitBreaker
from deployments.observability.logging import logger
from models.redaction import redacted


class ServerHealth:
    """Of one kind of work: a full server refuses writes and still answers reads."""

    def __init__(self, server: str, work: str, hidden: Sequence[str] = ()) -> None:
        """Watch one kind of work (``reads`` or ``writes``) of a server; the log never shows what is ``hidden``."""
        self._server, self._work, self._hidden = server, work, hidden
        self._breaker = CircuitBreaker()

    @property
    def up(self) -> bool:
        """Whether the server is in use for this work."""
        return not self._breaker.open

    def blocked(self) -> bool:
        """Whether the server is left alone now."""
        return self._breaker.blocked(time.monotonic())

    def allow(self) -> bool:
        """Whether the server may be asked now. While the breaker is open, yes means that this call is the trial."""
        return self._breaker.allow(time.monotonic())

    def success(self) -> None:
        """Note a good answer."""
        if self._breaker.success(time.monotonic()):
            logger.info("shared cache at %s: %s work again", self._server, self._work)

    def failure(self, reason: str) -> None:
        """Note a failure."""
        if self._breaker.failure(time.monotonic()):
            logger.warning(
                "shared cache at %s: %s stop until it answers again: %s",
                self._server,
                self._work,
                redacted(reason, *self._hidden),
            )

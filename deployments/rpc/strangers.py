"""Connections that have not said the secret yet: few at a time, and not for long."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from deployments.observability.logging import logger

HANDSHAKE_S = 2.0  # a gateway says it in the packet after the handshake of TCP; one lost packet costs 1 s
MOST = 64  # at once: descriptors of the replica. Of gateways, that many would have to connect in the same millisecond
TELL_S = 60.0  # between two lines of the log


class Stranger(Protocol):
    """A connection that can be ended."""

    def close(self) -> None:
        """End it at once."""


class Strangers:
    """Ends those that stay silent; when they are too many, the one that came first.

    The newest is let in, because a gateway speaks at once: refusing it would let silent connections lock gateways out.
    """

    def __init__(self, handshake_s: float = HANDSHAKE_S, most: int = MOST) -> None:
        """Know of none."""
        self._handshake_s, self._most = handshake_s, most
        self._waiting: dict[Stranger, asyncio.TimerHandle] = {}  # in the order in which they came
        self._ended = 0  # since the log was last told
        self._told_at = -TELL_S

    def __len__(self) -> int:
        """How many there are."""
        return len(self._waiting)

    def add(self, connection: Stranger) -> None:
        """Give a new connection its time to speak."""
        if len(self._waiting) >= self._most:
            self._end(next(iter(self._waiting)))
        loop = asyncio.get_running_loop()
        self._waiting[connection] = loop.call_later(self._handshake_s, self._end, connection)

    def discard(self, connection: Stranger) -> None:
        """A connection said the secret, or is gone."""
        timer = self._waiting.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def _end(self, connection: Stranger) -> None:
        self.discard(connection)
        connection.close()
        self._ended += 1
        now = time.monotonic()
        if now - self._told_at >= TELL_S:
            logger.warning(
                "%d connections to the port for gateways did not say its secret and were ended; "
                "who connects there that is no gateway?",
                self._ended,
            )
            self._ended, self._told_at = 0, now

"""How fast the bytes of a request, or of its answer, move."""

from __future__ import annotations

import math

from deployments.config.limits import Limits
from models.errors import SlowInputError

GRACE_S = 5.0  # before a rate says anything: connections that begin slowly, a network that fails for a moment
SHORTEST_S = 0.01  # that a pace is taken over: the first bytes come at once


class Movement:
    """Bytes and the seconds that they took, from a beginning on."""

    __slots__ = ("_looked_at", "_recent", "_seen", "began", "moved")

    def __init__(self, now: float) -> None:
        """Begin at ``now``, in seconds of the event loop's clock."""
        self.began = self._looked_at = now
        self.moved = self._seen = 0  # bytes
        self._recent = math.inf  # bytes per second of the last looks

    def look(self, now: float) -> bool:
        """Note what passed since the last look, or since it began; returns whether anything did."""
        passed, self._seen = self.moved - self._seen, self.moved
        pace = passed / max(now - self._looked_at, SHORTEST_S)
        self._looked_at = now
        self._recent = pace if self._recent == math.inf else 0.8 * self._recent + 0.2 * pace
        return passed > 0

    def pace(self, now: float) -> float:
        """Bytes per second: since it began, or of late where that is less."""
        return min(self.moved / max(now - self.began, SHORTEST_S), self._recent)

    def too_slow(self, now: float, limits: Limits, *, whole: bool) -> SlowInputError | None:
        """Why it must end; None while it may go on.

        Args:
            now: in seconds of the event loop's clock.
            limits: those in force.
            whole: whether the request is there, and its answer moves.
        """
        seconds = now - self.began
        if not whole and seconds > limits.body_s:
            message = f"the body had not arrived after {limits.body_s:g} s, of which {self.moved} bytes came"
        elif seconds > GRACE_S and self.moved < (seconds - GRACE_S) * limits.bytes_per_s:
            least = f"at least {limits.bytes_per_s} bytes a second are needed"
            message = f"the body comes too slowly: {self.moved} bytes in {seconds:.0f} s; {least}"
        else:
            return None
        return SlowInputError(message, code="body_too_slow")

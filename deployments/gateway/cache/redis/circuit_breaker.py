"""When a server that fails is left alone, and when it is tried again."""

from __future__ import annotations

FAILURES = 3  # in a row; a single slow answer happens to every server
FIRST_WAIT_S = 1.0  # a restart takes about as long
LONGEST_WAIT_S = 10.0  # a trial costs one request a few milliseconds; more frequent trials gain nothing


class CircuitBreaker:
    """Opens after ``FAILURES`` failures in a row. While open, it allows one trial after each wait, and each wait is longer.

    Times are seconds of any one clock that never goes back; the breaker itself neither waits nor reads a clock.
    """

    def __init__(self) -> None:
        """Start closed: the server is used."""
        self.open = False
        self._failures = 0
        self._wait_s = FIRST_WAIT_S
        self._retry_at = 0.0
        self._closed_at = float("-inf")

    def blocked(self, now: float) -> bool:
        """Whether the server is to be left alone at this moment."""
        return self.open and now < self._retry_at

    def allow(self, now: float) -> bool:
        """Whether the server may be asked now. While open, the caller who is told yes makes the trial."""
        if self.blocked(now):
            return False
        if self.open:
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
            self._retry_at = now + self._wait_s
        return True

    def success(self, now: float) -> bool:
        """Note a good answer.

        Returns:
            Whether this closed the breaker.
        """
        self._failures = 0
        if not self.open:
            return False
        self.open, self._closed_at = False, now
        return True

    def failure(self, now: float) -> bool:
        """Note a failure.

        Returns:
            Whether this opened the breaker.
        """
        self._failures += 1
        if self.open or self._failures < FAILURES:
            return False
        if now - self._closed_at > LONGEST_WAIT_S:  # sooner, it is still the same trouble: the waits go on growing
            self._wait_s = FIRST_WAIT_S
        self.open, self._retry_at = True, now + self._wait_s
        return True

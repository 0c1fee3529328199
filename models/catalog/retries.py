"""When a source of files is asked again, and after how long: many nodes ask at once, and a busy server must get rid of them."""

from __future__ import annotations

import email.utils
import random
import time
from dataclasses import dataclass, field

import httpx2

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})  # answers of a server that may have the file a moment later
FIRST_S, LONGEST_S = 0.5, 20.0  # the second try comes soon, then waits double; chance keeps nodes apart
ASKED_S = 60.0  # of Retry-After that is waited for: whoever is told to come back later starts anew later
TRIES = 6  # in a row that bring nothing: about half a minute
STUCK_S = 120.0  # without progress, such as two read timeouts
PROGRESS = 1 << 20  # bytes by which a file must have grown: a line that drops every few bytes never ends
NEVER_REACHED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)


@dataclass
class Retries:
    """The tries of one transfer.

    Args:
        tries: in a row that bring nothing, after which it fails.
        absent: whether a server that cannot be reached at all is asked again. A hub may be absent for good, and the next
            source is then tried at once.
    """

    tries: int = TRIES
    absent: bool = False
    _failed: int = 0
    _most: int = 0
    _since: float = field(default_factory=time.monotonic)
    _reached: bool = False

    def wait_s(self, error: Exception, done: int) -> float | None:
        """Seconds to wait before the next try; None if there is none.

        Args:
            error: how this one ended.
            done: bytes of the file that are there.
        """
        if done >= self._most + PROGRESS:
            self._failed, self._most, self._since = 0, done, time.monotonic()
        self._failed += 1
        self._reached = self._reached or not isinstance(error, NEVER_REACHED)
        if not self._may_pass(error) or self._failed >= self.tries or time.monotonic() - self._since > STUCK_S:
            return None
        asked = retry_after_s(error.response) if isinstance(error, httpx2.HTTPStatusError) else None
        if asked is not None and asked > ASKED_S:
            return None
        chance = random.random()
        longest = min(LONGEST_S, FIRST_S * 2 ** (self._failed - 1))
        return longest * (0.5 + chance / 2) if asked is None else asked + max(asked / 4, FIRST_S) * chance

    def _may_pass(self, error: Exception) -> bool:
        if isinstance(error, httpx2.HTTPStatusError):
            return error.response.status_code in AGAIN
        if isinstance(error, NEVER_REACHED):
            return self.absent or self._reached
        return isinstance(error, httpx2.TransportError) and not isinstance(error, httpx2.UnsupportedProtocol)


def retry_after_s(response: httpx2.Response) -> float | None:
    """What a Retry-After asks for, in seconds; None where there is none that can be read."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None

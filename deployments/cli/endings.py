"""The signals that end a command: the first one stops what it does, a later one hurries."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, `kill` and the like, a closed terminal
# `timeout`, shells and service managers send one to the process and at once again to its group. That is one wish, not two.
SAME_WISH_S = 1.0


class Ended(BaseException):
    """A signal asked for the end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Endings:
    """While it is entered, the first signal raises ``Ended`` wherever the program is, and further ones raise nothing."""

    def __init__(self) -> None:
        self._raises = True
        self._held = False
        self.first: int | None = None
        self._first_at = 0.0
        self.hurry = False  # asked for the end again, more than a second after the first time

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in SIGNALS}
        for number in SIGNALS:
            if number != signal.SIGHUP or self._before[number] != signal.SIG_IGN:  # `nohup` ignores it: so it stays
                signal.signal(number, self._hear)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def expected(self) -> None:
        """From now on signals raise nothing: it ends already."""
        self._raises = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Raise what comes within the block at its end: nothing is left half made."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self.first is not None and self._raises:
            self._raise(self.first)

    def _hear(self, number: int, _: FrameType | None) -> None:
        if self.first is not None:
            self.hurry = self.hurry or time.monotonic() - self._first_at > SAME_WISH_S
            return
        self.first, self._first_at = number, time.monotonic()
        if self._raises and not self._held:
            self._raise(number)

    def _raise(self, number: int) -> None:
        self._raises = False
        raise Ended(number)

"""The places of requests under way, as many as the window has."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from deployments.backfill.via_service.window import Seen, Window
from models.errors import JobError


class Lane:
    """A semaphore whose size follows what is seen; shared by threads."""

    def __init__(self) -> None:
        """Begin with one request at a time."""
        self._window = Window()
        self._under_way = 0
        self._changed = threading.Condition()
        self._closed = False

    def close(self) -> None:
        """The job ends: whoever waits gives up."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait, as long as the job goes on."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)

    @property
    def window(self) -> Window:
        """As it is now."""
        return self._window

    @contextmanager
    def place(self) -> Iterator[None]:
        """Wait for a place, and leave it.

        Raises:
            JobError: the job ends.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._under_way < self._window.places)
            if self._closed:
                raise JobError("the job ended")
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify()

    def saw(self, seen: Seen) -> None:
        """Let the window follow."""
        with self._changed:
            self._window = self._window.after(seen, time.monotonic())
            self._changed.notify_all()

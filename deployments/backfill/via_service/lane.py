"""The inputs under way, as many as the window has."""

from __future__ import annotations

import threading
import time

from deployments.backfill.via_service.window import Seen, Window
from models.errors import JobError

SAY_S = 30.0  # without an answer, until people are told why the job stands still


class Lane:
    """A semaphore whose size follows what is seen; shared by threads."""

    def __init__(self) -> None:
        """Begin with one input at a time."""
        self._window = Window()
        self._under_way = 0
        self._changed = threading.Condition()
        self._closed = False
        self._say_at = 0.0

    @property
    def window(self) -> Window:
        """As it is now."""
        return self._window

    def take(self, most: int) -> int:
        """Wait for places; how many of them this caller has now, from 1 to ``most``.

        Raises:
            JobError: the job ends.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._free >= self._worth(most))
            if self._closed:
                raise JobError("the job ended")
            count = min(most, self._free, (self._window.places + 1) // 2)  # two requests: one computes, one arrives
            self._under_way += count
            return count

    @property
    def _free(self) -> int:
        return self._window.places - self._under_way

    def _worth(self, most: int) -> int:
        """Places of one request, at least: half of all that there are, as a request has a cost of its own."""
        return max(1, min(most, self._window.places // 2))

    def leave(self, count: int, *, answered: bool) -> None:
        """Give places back, after an answer or a refusal."""
        with self._changed:
            self._under_way -= count
            now = time.monotonic()
            self._window = self._window.answered(count, now) if answered else self._window.after("refused", now)
            self._changed.notify_all()

    def saw(self, seen: Seen) -> None:
        """Let the window follow."""
        with self._changed:
            self._window = self._window.after(seen, time.monotonic())

    def may_say(self, waited: float) -> bool:
        """Whether a caller that has waited so many seconds for an answer tells people: one of all of them does, every half a minute."""
        with self._changed:
            now = time.monotonic()
            if waited < SAY_S or now < self._say_at:
                return False
            self._say_at = now + SAY_S
            return True

    def pause(self, seconds: float) -> None:
        """Wait, as long as the job goes on."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)

    def close(self) -> None:
        """The job ends: whoever waits gives up."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

"""Waits for a client that somebody else may end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any


class Interruptible:
    """The waits of one task, one after the other."""

    __slots__ = ("_task", "error", "waiting")

    def __init__(self) -> None:
        """Begin with ``begin``."""
        self._task: asyncio.Task[Any] | None = None
        self.error: Exception | None = None  # why they were ended
        self.waiting = False

    @property
    def begun(self) -> bool:
        """Whether anything was to be waited for."""
        return self._task is not None

    def begin(self) -> None:
        """Wait in this task from now on."""
        self._task = asyncio.current_task()

    async def wait(self, step: Awaitable[Any]) -> Any:
        """What ``step`` comes to.

        Raises:
            Exception: the one that ``end`` was given.
        """
        self.waiting = True
        try:
            return await step
        except asyncio.CancelledError:
            if self.error is None or (self._task is not None and self._task.uncancel() > 0):
                raise  # somebody else wants it to end
            raise self.error from None
        finally:
            self.waiting = False

    def end(self, error: Exception) -> None:
        """End the wait under way, which raises ``error``."""
        self.error = error
        if self.waiting and self._task is not None:
            self._task.cancel()

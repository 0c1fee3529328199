"""How busy a process is."""

from __future__ import annotations

import time
from collections.abc import Callable


class Processor:
    """How much of one core this process uses."""

    def __init__(
        self, wall: Callable[[], float] = time.monotonic, used: Callable[[], float] = time.process_time
    ) -> None:
        """Count from now on; ``wall`` and ``used`` tell seconds of the clock and of processor time."""
        self._wall, self._used = wall, used
        self._last = (wall(), used())

    def busy(self) -> float:
        """Seconds of processor time per second since the last call."""
        before, self._last = self._last, (self._wall(), self._used())
        return (self._last[1] - before[1]) / max(self._last[0] - before[0], 1e-9)

"""How fast a version's replicas work through a queue."""

from __future__ import annotations

from collections import deque
from statistics import median

SAMPLES = 15  # calls whose median is the pace: half of them may be outliers


class Pace:
    """The median of the last calls' seconds per cost, over calls that came back while others waited."""

    def __init__(self) -> None:
        """Start without samples; calls without a backlog are not measured."""
        self.seconds_per_cost = 0.0  # 0 until there are enough samples: one slow start says nothing
        self._last_ended = 0.0
        self._samples: deque[float] = deque(maxlen=SAMPLES)

    def note(self, began: float, ended: float, cost: int, *, backlog: bool) -> None:
        """Take a call that came back.

        Args:
            began: in monotonic seconds.
            ended: likewise.
            cost: of its items.
            backlog: whether items waited when it came back.
        """
        seconds = ended - max(began, self._last_ended)  # calls overlap: only the time since the one before counts
        self._last_ended = ended
        if backlog:
            self._samples.append(seconds / max(cost, 1))
            if len(self._samples) == SAMPLES:
                self.seconds_per_cost = median(self._samples)

"""The highest value of the recent past."""

from __future__ import annotations

from collections import deque


class WindowMaximum:
    """The highest of the values of a sliding window of time."""

    def __init__(self) -> None:
        """Start without values."""
        # Time and value. Values fall: a new one removes all before it that are not higher, which can never count again.
        self._values: deque[tuple[float, float]] = deque()

    def note(self, time_s: float, value: float, period_s: float) -> float:
        """Add a value; returns the highest that is not older than ``period_s``.

        Args:
            time_s: seconds, never less than in the call before.
            value: what to add.
            period_s: length of the window.
        """
        while self._values and self._values[-1][1] <= value:
            self._values.pop()
        self._values.append((time_s, value))
        while self._values[0][0] < time_s - period_s:
            self._values.popleft()
        return self._values[0][1]

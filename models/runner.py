"""Runs of one session on a CPU, and whether any is under way."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray

Feeds = Mapping[str, NDArray[Any]]


class Runner:
    """Runs a session from many threads."""

    def __init__(self, session: ort.InferenceSession, output: str) -> None:
        """Run ``session`` for one output."""
        self._session = session
        self._output = output
        self._lock = threading.Lock()
        self._under_way = 0

    @property
    def busy(self) -> bool:
        """Whether a run is under way, so that another had better not count on every thread."""
        return self._under_way > 0

    def run(self, feeds: Feeds) -> NDArray[Any]:
        """The output for inputs [n, ...]."""
        with self._lock:
            self._under_way += 1
        try:
            result: NDArray[Any] = self._session.run([self._output], feeds)[0]
        finally:
            with self._lock:
                self._under_way -= 1
        return result

"""Runs one graph from several threads, in one session or two."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray

Feeds = Mapping[str, NDArray[Any]]


class Runner:
    """Runs a graph; thread-safe."""

    def __init__(self, session: ort.InferenceSession, output: str, spare: ort.InferenceSession | None = None) -> None:
        """Run ``session``, or ``spare`` if there is one and a run is already under way; ``output`` is what to return."""
        self._session = session
        self._spare = spare or session
        self._output = output
        self._lock = threading.Lock()
        self._under_way = 0

    @property
    def busy(self) -> bool:
        """Whether a run is under way, so that another should not expect every thread to be free."""
        return self._under_way > 0

    @property
    def sessions(self) -> int:
        """How many sessions it has, each with its own copy of the weights."""
        return 1 if self._spare is self._session else 2

    def run(self, feeds: Feeds) -> NDArray[Any]:
        """The output for inputs [n, ...]."""
        with self._lock:
            session = self._spare if self._under_way else self._session
            self._under_way += 1
        try:
            result: NDArray[Any] = session.run([self._output], feeds)[0]
        finally:
            with self._lock:
                self._under_way -= 1
        return result

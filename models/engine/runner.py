"""Runs one graph from several threads, in one session or two."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray

from models.engine import background
from models.engine.types import Feeds


class Runner:
    """Runs a graph; thread-safe."""

    def __init__(self, session: ort.InferenceSession, output: str, spare: ort.InferenceSession | None = None) -> None:
        """Run ``session``, or ``spare`` if there is one and a run is already under way, or nobody waits for this one.

        Args:
            session: the first.
            output: what to return.
            spare: the second; None: the first takes every run.
        """
        self._session = session
        self._spare = spare or session
        self._output = output
        self._lock = threading.Lock()
        self._under_way = 0  # without those of the background, which others pass

    @property
    def busy(self) -> bool:
        """Whether a run is under way, so that another should not expect every thread to be free."""
        return self._under_way > 0

    @property
    def sessions(self) -> int:
        """How many sessions it has, each with its own copy of the weights."""
        return 1 if self._spare is self._session else 2

    @contextmanager
    def divided(self) -> Iterator[None]:
        """While a batch is divided into runs on several threads: each takes the second session, also the first of them."""
        with self._lock:
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def run(self, feeds: Feeds) -> NDArray[Any]:
        """The output for inputs [n, ...]."""
        result: NDArray[Any]
        if background.here():
            result = self._spare.run([self._output], feeds)[0]
            return result
        with self._lock:
            session = self._spare if self._under_way else self._session
            self._under_way += 1
        try:
            result = session.run([self._output], feeds)[0]
        finally:
            with self._lock:
                self._under_way -= 1
        return result

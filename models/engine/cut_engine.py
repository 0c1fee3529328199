"""Runs a graph on a processor in fixed shapes, of which each batch fills some: what OpenVINO needs, which makes kernels for each shape."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.engine.buckets import Buckets, pad
from models.engine.session import Session
from models.engine.types import Feeds


class CutEngine:
    """Runs one session in buckets; thread-safe, as sessions are."""

    def __init__(self, session: Session, output: str, buckets: Buckets, threads: int) -> None:
        """Run ``session`` and return ``output``; ``threads`` runs compute at a time, each on its own."""
        self.buckets = buckets
        self.threads = threads
        self._session = session
        self._output = output
        self._lock = threading.Lock()
        self._under_way = 0

    def run(self, feeds: Feeds) -> NDArray[Any]:
        """Run inputs [n, ...] padded to the bucket of their length, in as many runs as n rows need; the n rows of the result.

        All inputs have the same n, and those of text the same length.
        """
        first = next(iter(feeds.values()))
        length = self.buckets.length_for(first.shape[1]) if self.buckets.lengths else None
        ends = list(accumulate(self.buckets.parts(len(first), length or 0)))
        parts = []
        for start, end in zip([0, *ends], ends, strict=False):
            rows = self.buckets.rows_for(end - start)
            filled = {name: pad(value[start:end], rows, length) for name, value in feeds.items()}
            parts.append(self._run(filled)[: end - start])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    @property
    def busy(self) -> bool:
        """Whether a run is under way."""
        return self._under_way > 0

    def warm_up(self, example: Feeds) -> int:
        """Run every bucket on every thread at once, so that its kernels are there before traffic comes; 5 to 40 ms for each.

        Args:
            example: one valid row of each input.

        Returns:
            The number of buckets.
        """
        shapes = list(self.buckets.shapes())
        with ThreadPoolExecutor(self.threads, "warm-up") as threads:
            for rows, length in shapes:
                feeds = {name: pad(value, rows, length) for name, value in example.items()}
                list(threads.map(self._run, [feeds] * self.threads))
        return len(shapes)

    def _run(self, feeds: Feeds) -> NDArray[Any]:
        with self._lock:
            self._under_way += 1
        try:
            result: NDArray[Any] = self._session.run([self._output], dict(feeds))[0]
        finally:
            with self._lock:
                self._under_way -= 1
        return result

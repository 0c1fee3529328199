"""Takes an input now and then beside the traffic, and compares the last of them with the reference."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from deployments.contract.items import Item
from deployments.encoder.drift import reference_file
from deployments.encoder.drift.distance import Reference, distances, freeze
from deployments.encoder.drift.window import Traits, Window
from models.modalities.base import Embedder, Row

# Inputs of the reference, and of a window: a trait is then known to a tenth, and vectors of 384 dimensions take 3 MB until the
# reference is frozen, 1.4 MB afterwards.
REFERENCE, WINDOW = 2000, 500
EVERY_S = 0.25  # between two inputs at most: a window is two minutes of traffic or more, and costs nobody a turn
LEAST = 250  # inputs of a window before it is compared


class DriftWatch:
    """The drift of one replica's artifact."""

    def __init__(self, hash_: str, reference_s: float) -> None:
        """Watch an artifact.

        Args:
            hash_: of the artifact, under which its reference is kept.
            reference_s: how long the reference window is, where none was frozen before; 0 watches nothing.
        """
        self._hash = hash_
        self._reference_every_s = max(reference_s / REFERENCE, EVERY_S)
        self.on = reference_s > 0
        self._next = -math.inf if self.on else math.inf
        self._looked = False  # for a reference that somebody froze
        self._reference: Reference | None = None
        self._first: list[tuple[Traits, NDArray[np.float32]]] = []
        self._last: deque[tuple[Traits, NDArray[np.float32]]] = deque(maxlen=WINDOW)
        self.found: dict[str, float] = {}  # by trait, mean and covariance
        self.means: dict[tuple[str, str], float] = {}  # of each trait, in the window and in the reference

    @property
    def counts(self) -> dict[str, int]:
        """How many inputs the reference and the window hold."""
        frozen = self._reference.count if self._reference is not None else len(self._first)
        return {"reference": frozen, "current": len(self._last)}

    def due(self, now: float) -> bool:
        """Whether it is time for another input; asked at every call."""
        return now >= self._next

    def take(
        self,
        now: float,
        embedder: Embedder,
        items: Sequence[Item],
        rows: Mapping[int, Row],
        vectors: NDArray[np.float32],
    ) -> None:
        """Take one of a call's inputs.

        Args:
            now: perf_counter seconds.
            embedder: that prepared and embedded them.
            items: of the call.
            rows: those that could be prepared, by the item's index; at least one.
            vectors: of all items, [n, d].
        """
        index = random.choice(list(rows))
        seen = (embedder.traits(items[index], rows[index]), np.array(vectors[index]))
        self._last.append(seen)
        if self._reference is None and len(self._first) < REFERENCE:
            self._first.append(seen)
        self._next = now + (EVERY_S if self._reference is not None else self._reference_every_s)

    def evaluate(self) -> None:
        """Compare; 15 to 45 ms for 384 dimensions, so call it in a thread. One at a time."""
        if not self.on:
            return
        if not self._looked:
            self._looked, self._reference = True, reference_file.load(self._hash)
            self._first = [] if self._reference is not None else self._first
        if self._reference is None and len(self._first) >= REFERENCE:
            self._freeze()
        seen = list(self._last)
        if self._reference is None or len(seen) < LEAST:
            return
        window = Window.of(seen)
        self.found = distances(window, self._reference)
        for name, values in window.traits.items():
            if not np.isnan(values).all():
                self.means[name, "current"] = float(np.nanmean(values))
        self.means |= {
            (name, "reference"): float(values.mean()) for name, values in self._reference.traits.items() if len(values)
        }

    def _freeze(self) -> None:
        """Freeze what was seen, or take what another replica froze meanwhile."""
        self._reference = reference_file.load(self._hash)
        if self._reference is None:
            self._reference = freeze(Window.of(self._first), WINDOW)
            reference_file.save(self._hash, self._reference)
        self._first = []
        self._last.clear()  # of another pace: a window of a quarter of an hour would hide two minutes of drift

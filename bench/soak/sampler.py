"""How much memory the serving processes hold over time."""

from __future__ import annotations

import threading
import time

import numpy as np

from tests.faults.footprint import footprints
from tests.integration.service import Service

SAMPLE_S = 5.0


class Sampler:
    """Resident memory of the serving processes, every few seconds."""

    def __init__(self, service: Service) -> None:
        """Nothing is sampled yet."""
        self.samples: list[tuple[float, dict[str, float]]] = []
        self._service = service
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(SAMPLE_S):
            self.samples.append((time.monotonic(), self.now()))

    def now(self) -> dict[str, float]:
        """Megabytes by process, and of all together."""
        held = {f"{one.title} {pid}": one.resident_mb for pid, one in footprints(self._service).items()}
        return {**held, "all": sum(held.values())}

    def slopes(self) -> dict[str, float]:
        """Growth in megabytes per hour, by least squares, of the processes that were there all the time."""
        times = np.array([at for at, _ in self.samples])
        names = set.intersection(*(set(held) for _, held in self.samples))
        return {
            name: float(np.polyfit(times - times[0], [held[name] for _, held in self.samples], 1)[0]) * 3600
            for name in sorted(names)
        }

"""How long an interactive request takes, asked by requests of our own: metrics may be closed to a job's key."""

from __future__ import annotations

import io
import threading
import time
import uuid
from collections import deque

from deployments.backfill.via_service.client import ServiceClient
from deployments.backfill.via_service.lane import Lane
from deployments.backfill.via_service.window import RECENT, limits_of, slowed
from models.errors import EmbedserveError
from models.modalities.base import Item

BEFORE = 100  # requests before the job
EVERY_S = 0.1


class Probe:
    """Asks all the time, and tells the lane when answers take longer than before the job."""

    def __init__(self, client: ServiceClient, modality: str, lane: Lane) -> None:
        """Ask ``client`` for one input of this modality at a time."""
        self._client, self._modality, self._lane = client, modality, lane
        self._limits: list[float] = limits_of([])
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="probe", daemon=True)

    def __enter__(self) -> Probe:
        """Measure without the job, and go on beside it."""
        self._ask()  # makes the connection
        self._limits = limits_of([seconds for _ in range(BEFORE) if (seconds := self._ask()) is not None])
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._ended.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._ended.wait(EVERY_S):
            if (seconds := self._ask()) is not None:
                self._recent.append(seconds)
                if slowed(self._limits, list(self._recent)):
                    self._lane.saw("slowed")
                    self._recent.clear()  # what follows tells whether it was enough

    def _ask(self) -> float | None:
        """Seconds of one request; None where it was refused, which the job's own requests notice too."""
        start = time.perf_counter()
        try:
            answer = self._client.post([_unknown(self._modality)], bulk=False)
        except EmbedserveError:
            return None
        return time.perf_counter() - start if answer is not None and answer.status_code == 200 else None


def _unknown(modality: str) -> Item:
    """An input that no cache has."""
    if modality == "text":
        return f"how long does it take {uuid.uuid4().hex[:8]}"
    from PIL import Image

    buffer = io.BytesIO()
    Image.frombytes("RGB", (32, 32), uuid.uuid4().bytes * 192).save(buffer, "PNG")
    return buffer.getvalue()

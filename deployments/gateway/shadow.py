"""Copies of requests to a candidate version: never waited for, never answered from, dropped first under load."""

from __future__ import annotations

import asyncio
import time

import numpy as np
from numpy.typing import NDArray

from deployments.contract.embedding import Embedding
from deployments.gateway.model_version import ModelVersion
from deployments.gateway.neighbour_sample import PER_COPY, Answer, NeighbourSample
from deployments.gateway.unjoined import submit
from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.observability.logging import logger
from deployments.rpc.detached import detached
from models.errors import EmbedserveError

MAX_COPIES = 16  # in flight over all versions; more would compete with traffic that somebody waits for
MAX_WAITING = 64  # items in the candidate's queue above which copies are dropped


class Shadow:
    """Sends copies and compares their vectors with those that were answered."""

    def __init__(self, metrics: GatewayMetrics, sample: NeighbourSample) -> None:
        """Compare into ``metrics``, and keep some vectors of both in ``sample``."""
        self._metrics = metrics
        self._sample = sample
        self._tasks: set[asyncio.Task[None]] = set()

    def offer(
        self, percent: float, drawn: float, primary: ModelVersion, candidate: ModelVersion, answer: Answer
    ) -> None:
        """Copy a request to ``candidate`` if its turn comes and there is room.

        Args:
            percent: of the requests that are copied.
            drawn: from 0 to 100, the same for all candidates of a request: they then embed the same inputs.
            primary: the version that answered.
            candidate: the version that gets the copy.
            answer: what the request was answered with.
        """
        if drawn >= percent or len(self._tasks) >= MAX_COPIES:
            return
        if candidate.queue.waiting_items > MAX_WAITING or primary.queue.waiting_items > MAX_WAITING:
            return
        task = detached(self._copy(primary, candidate, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _copy(self, primary: ModelVersion, candidate: ModelVersion, answer: Answer) -> None:
        try:
            outcomes = await submit(candidate.queue, answer.items, bulk=True)
        except EmbedserveError as error:
            logger.warning("shadow traffic to %s failed: %s", candidate.reference, error)
            return
        except Exception:  # whatever a candidate does must not reach the primary's clients
            logger.exception("shadow traffic to %s failed", candidate.reference)
            return
        labels = (primary.model, primary.version, candidate.version)
        copies = {index: one for index, one in enumerate(outcomes) if isinstance(one, Embedding)}
        for index, copy in copies.items():
            vector = answer.vectors[index]
            if copy.vector.shape == vector.shape:
                self._metrics.shadow.observe(labels, cosine(copy.vector, vector))
        some = dict(list(copies.items())[:: len(copies) // PER_COPY + 1])
        self._sample.add(primary.model, candidate.version, answer, some, time.monotonic())


def cosine(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Of two vectors, also of models whose vectors have other lengths than 1."""
    return float(np.dot(first, second) / max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-12))

"""Copies of requests to a candidate version: never waited for, never answered from, dropped first under load."""

from __future__ import annotations

import asyncio
import random

import numpy as np
from numpy.typing import NDArray

from deployments.contract.embedding import Embedding
from deployments.contract.items import Item
from deployments.gateway.detached import detached
from deployments.gateway.model_version import ModelVersion
from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.observability.logging import logger
from models.errors import EmbedserveError

MAX_COPIES = 16  # in flight over all versions; more would compete with traffic that somebody waits for
MAX_WAITING = 64  # items in the candidate's queue above which copies are dropped


class Shadow:
    """Sends copies and compares their vectors with those that were answered."""

    def __init__(self, metrics: GatewayMetrics) -> None:
        """Compare into ``metrics``."""
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()

    def offer(
        self,
        percent: float,
        primary: ModelVersion,
        candidate: ModelVersion,
        items: list[Item],
        vectors: NDArray[np.float32],
    ) -> None:
        """Copy a request to ``candidate`` if its turn comes and there is room."""
        if random.random() * 100 >= percent or len(self._tasks) >= MAX_COPIES:
            return
        if candidate.queue.waiting_items > MAX_WAITING or primary.queue.waiting_items > MAX_WAITING:
            return
        task = detached(self._copy(primary, candidate, items, vectors))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _copy(
        self, primary: ModelVersion, candidate: ModelVersion, items: list[Item], vectors: NDArray[np.float32]
    ) -> None:
        try:
            outcomes = await candidate.queue.submit(items, bulk=True)
        except EmbedserveError as error:
            logger.warning("shadow traffic to %s failed: %s", candidate.reference, error)
            return
        except Exception:  # whatever a candidate does must not reach the primary's clients
            logger.exception("shadow traffic to %s failed", candidate.reference)
            return
        labels = (primary.model, primary.version, candidate.version)
        for outcome, vector in zip(outcomes, vectors, strict=True):
            if isinstance(outcome, Embedding) and outcome.vector.shape == vector.shape:
                self._metrics.shadow.observe(labels, float(np.dot(outcome.vector, vector)))

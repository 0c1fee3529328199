"""One model version as the gateway sees it: its handle, its queue, and what is known of its replicas."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from typing import Literal

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException

from deployments.config.base import Modality
from deployments.config.names import DEPLOYMENT_NAMES, application_name
from deployments.config.queue import Queue
from deployments.config.routes import REST_AFTER_S
from deployments.contract.reason import Reason, ReasonCode
from deployments.contract.types import EncodeReply, Item, ModelInfo, Queued
from deployments.gateway.replicas import NotDeployedError, Replicas, last_line
from deployments.gateway.request_queue import RequestQueue
from deployments.observability import tracing
from models.errors import EmbedserveError

State = Literal["ready", "loading", "failed", "asleep"]
DESCRIBE_TIMEOUT_S = 5.0
GATEWAY = uuid.uuid4().hex  # this process, for encoders that add up the queues of all gateways
CHARACTERS_PER_TOKEN = 4  # English text; only splits calls, the encoder counts real tokens


class ModelVersion:
    """Reaches the application of one model version."""

    def __init__(self, model: str, version: str, modality: Modality) -> None:
        """Know of a version; nothing is called until it is refreshed or used."""
        self.model, self.version, self.modality = model, version, modality
        self.reference = f"{model}@{version}"
        self.application = application_name(model, version)
        self.info: ModelInfo | None = None
        self.error: Reason | None = None  # why no replica embeds
        self.replicas = 0
        self.seen_at = 0.0  # monotonic seconds of the last proof that a replica embeds
        self.may_sleep = False  # scaled to zero when idle
        self._used_at = -math.inf
        self._reach = Replicas(self.reference, self.application, DEPLOYMENT_NAMES[modality])
        self.calls = self._reach.calls  # by way, since they were last reported
        self._cost = text_cost if modality == "text" else image_cost
        self.coalescer = RequestQueue(self.call, self._cost)

    @property
    def state(self) -> State:
        """Whether a replica serves this version, or would as soon as somebody asks."""
        if self.resting and not self.replicas:
            return "asleep"
        if self.info is not None and self.error is None:
            return "ready"
        return "failed" if self.error else "loading"

    @property
    def resting(self) -> bool:
        """Whether it may sleep and nobody used it lately: it is to be left alone."""
        return self.may_sleep and time.monotonic() - self._used_at > REST_AFTER_S

    @property
    def takes_requests(self) -> bool:
        """Whether a request is answered, if only after a cold start."""
        return self.state == "ready" or (self.may_sleep and self.error is None)

    def configure(self, queue: Queue) -> None:
        """Take new queue limits, in proportion to the replicas that are there."""
        self.coalescer.max_waiting, self.coalescer.max_wait_s = queue.waiting_items, queue.waiting_s or math.inf
        self.coalescer.bulk_waiting, self.coalescer.bulk_share = queue.bulk_waiting, queue.bulk_share
        self.coalescer.replicas = max(self.replicas, 1)
        self.coalescer.max_calls = queue.calls_per_replica * self.coalescer.replicas
        self.coalescer.gather_s = queue.gather_s
        self.coalescer.call_cost = queue.call_cost if self.modality == "text" else queue.call_images

    async def refresh(self, max_age_s: float = 10.0) -> None:
        """Ask a replica what it serves; the answer, or why there is none, is kept."""
        try:
            self.info = await asyncio.wait_for(self._reach.describe(max_age_s), DESCRIBE_TIMEOUT_S)
            self.error = None
            self.seen_at = time.monotonic()
        except NotDeployedError as error:
            self.error = Reason(ReasonCode.NOT_DEPLOYED, str(error))
        except TimeoutError:
            waking = self.may_sleep and not self.replicas
            silence = Reason(ReasonCode.NO_REPLICA, f"no replica answered within {DESCRIBE_TIMEOUT_S:g} s")
            self.error = None if waking else silence
        except (RayError, RayServeException, BackPressureError, EmbedserveError) as error:
            answered = isinstance(error, RayTaskError | EmbedserveError)
            self.error = Reason(ReasonCode.REPLICA_FAILED if answered else ReasonCode.NO_REPLICA, last_line(error))

    async def wake(self) -> None:
        """Ask until a replica answers or something is wrong; the caller's deadline bounds it."""
        self._used_at = time.monotonic()
        await self.refresh()
        while self.info is None and self.takes_requests:
            await self.refresh()

    async def call(self, items: list[Item]) -> EncodeReply:
        """Send one call to a replica; when the replica dies under it or its engine fails, to another.

        Raises:
            UnavailableError: no replica took it.
        """
        self._used_at = time.monotonic()
        span = tracing.call(self.reference)
        try:
            return await self._reach.encode(items, self._queued(items, tracing.carried(span)))
        finally:
            tracing.end(span)

    def _queued(self, items: list[Item], trace: tuple[str, ...]) -> Queued:
        """What a call costs, what it leaves behind, and what was refused since the one before it."""
        refused, self.coalescer.refused_cost = self.coalescer.refused_cost, 0
        return Queued(GATEWAY, sum(map(self._cost, items)), self.coalescer.waiting_cost, refused, trace)


def text_cost(item: Item) -> int:
    """Tokens that a text item will come to, roughly."""
    return len(item) if isinstance(item, tuple) else min(len(item) // CHARACTERS_PER_TOKEN + 2, 256)


def image_cost(_: Item) -> int:
    """Every image costs the same."""
    return 1

"""One model version as the gateway sees it: its handle, its queue, and what is known of its replicas."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from typing import Literal

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException

from deployments.config.names import application_name, deployment_name
from deployments.config.queue import Queue
from deployments.config.routes import REST_AFTER_S
from deployments.contract.call import Queued
from deployments.contract.embedding import Outcome
from deployments.contract.items import Item
from deployments.contract.model_info import ModelInfo
from deployments.contract.reason import Reason, ReasonCode
from deployments.contract.reply import EncodeReply
from deployments.gateway.batch import Batch
from deployments.gateway.queue_settings import QueueSettings
from deployments.gateway.replicas import NotDeployedError, Replicas
from deployments.gateway.request_queue import RequestQueue
from deployments.gateway.single_flight import SingleFlight
from deployments.observability import tracing
from deployments.serve_internals.replica_search import last_line
from models.errors import EmbedserveError, UnavailableError
from models.modalities import MODALITIES
from models.redaction import for_everybody

State = Literal["ready", "loading", "failed", "asleep"]
DESCRIBE_TIMEOUT_S = 5.0
PROOF_S = (
    60.0  # how old an embedding may be that proves that an idle version works; `/health/ready` asks for a newer one
)
QUIET_S = 30.0  # without a call: nothing hurries
GATEWAY = uuid.uuid4().hex  # this process, for encoders that add up the queues of all gateways


class ModelVersion:
    """Queues requests for the application of one model version, and knows what its replicas said of themselves."""

    def __init__(self, model: str, version: str, modality: str) -> None:
        """Know of a version; nothing is called until it is refreshed or used."""
        self.model, self.version, self.modality = model, version, modality
        self.reference = f"{model}@{version}"
        self.application = application_name(model, version)
        self.info: ModelInfo | None = None
        self.error: Reason | None = None  # why no replica embeds
        self.replica_count = 0  # when they were last counted
        self._answered = False  # one has, since then
        self.seen_at = 0.0  # monotonic seconds of the last proof that a replica embeds
        self._may_sleep = False  # scaled to zero when idle
        self._used_at = -math.inf
        self._replicas = Replicas(self.reference, self.application, deployment_name(modality))
        self._queue_config = Queue()
        # Of this version alone: another one that serves the same artifact has replicas of its own, with a fate of their own.
        self.flights: SingleFlight[Outcome] = SingleFlight()
        self.queue = RequestQueue(self.call, self._cost, self._queue_settings())

    def _cost(self, item: Item) -> int:
        """The work of an item, as the encoder will count it or nearly so."""
        return MODALITIES[self.modality].estimate(item, self.info.max_tokens if self.info else None)

    @property
    def state(self) -> State:
        """Whether a replica serves this version, or would as soon as somebody asks."""
        if self.resting and not self.replica_count:
            return "asleep"
        if self.info is not None and self.error is None:
            return "ready"
        return "failed" if self.error else "loading"

    @property
    def replicas(self) -> int:
        """How many replicas run, as far as it is known: one that answers does, although none ran when they were counted."""
        return self.replica_count or int(self._answered)

    @property
    def resting(self) -> bool:
        """Whether it may sleep and nobody used it lately: it is to be left alone."""
        return self._may_sleep and time.monotonic() - self._used_at > REST_AFTER_S

    @property
    def unknown(self) -> bool:
        """Whether a replica runs that has not said what it serves, as where the gateway started after it."""
        return self.info is None and self.replica_count > 0

    @property
    def quiet(self) -> bool:
        """Whether nobody used it lately, and its replicas do not go when nobody does."""
        return not self._may_sleep and time.monotonic() - self._used_at > QUIET_S

    @property
    def takes_requests(self) -> bool:
        """Whether a request is answered, if only after a cold start."""
        return self.state == "ready" or (self._may_sleep and self.error is None)

    def configure(self, queue: Queue, *, may_sleep: bool) -> None:
        """Take settings: of the queue, and whether Serve scales the version to zero when it is idle."""
        self._queue_config, self._may_sleep = queue, may_sleep
        self.queue.configure(self._queue_settings())

    def note_replicas(self, count: int) -> None:
        """Take the number of replicas that run; the queue allows calls in proportion."""
        self.replica_count, self._answered = count, False
        self.queue.configure(self._queue_settings())

    def _queue_settings(self) -> QueueSettings:
        config, replicas = self._queue_config, max(self.replica_count, 1)
        call_limits = {"call_cost": config.call_cost, "call_images": config.call_images}
        return QueueSettings(
            call_cost=call_limits[MODALITIES[self.modality].call_limit],
            max_calls=config.calls_per_replica * replicas,
            replicas=replicas,
            gather_s=config.gather_s,
            waiting_items=config.waiting_items,
            waiting_s=config.waiting_s or math.inf,
            bulk_waiting=config.bulk_waiting,
            bulk_share=config.bulk_share,
        )

    def take_calls(self) -> dict[str, int]:
        """How many calls each way took since this was last asked."""
        calls = dict(self._replicas.calls)
        self._replicas.calls.clear()
        return calls

    async def refresh(self, max_age_s: float = PROOF_S) -> None:
        """Ask a replica what it serves; the answer, or why there is none, is kept."""
        try:
            self.info = await asyncio.wait_for(self._replicas.describe(max_age_s), DESCRIBE_TIMEOUT_S)
            self.error = None
            self._answered = True
            self.seen_at = time.monotonic()
        except NotDeployedError as error:
            self.error = Reason(ReasonCode.NOT_DEPLOYED, str(error))
        except TimeoutError:
            waking = self._may_sleep and not self.replica_count
            silence = Reason(ReasonCode.NO_REPLICA, f"no replica answered within {DESCRIBE_TIMEOUT_S:g} s")
            self.error = None if waking else silence
        except (RayError, RayServeException, BackPressureError, EmbedserveError) as error:
            answered = isinstance(error, RayTaskError | EmbedserveError)
            self.error = Reason(
                ReasonCode.REPLICA_FAILED if answered else ReasonCode.NO_REPLICA, for_everybody(last_line(error))
            )

    async def ready_info(self) -> ModelInfo:
        """What the replicas serve. While nothing is known, ask until one answers; only the caller's deadline bounds it.

        Raises:
            UnavailableError: no replica can answer.
        """
        if self.info is None:
            await self._wake()
        if self.info is None:
            raise UnavailableError(f"{self.reference} has no ready replica", retry_after_s=2)
        return self.info

    async def _wake(self) -> None:
        self._used_at = time.monotonic()
        await self.refresh()
        while self.info is None and self.takes_requests:
            await self.refresh()

    async def call(self, batch: Batch) -> EncodeReply:
        """Send one call to a replica; when the replica dies under it or its engine fails, to another.

        Raises:
            ArtifactGoneError: no replica has that artifact any more.
            UnavailableError: no replica took it.
        """
        self._used_at = time.monotonic()
        span = tracing.call(self.reference)
        try:
            # What the call leaves behind, and what was refused since the one before it.
            waiting, refused = self.queue.waiting_cost, self.queue.take_refused_cost()
            told = (batch.hash, batch.alone, batch.bulk)
            queued = Queued(GATEWAY, batch.cost, waiting, refused, tracing.carried(span), *told)
            return await self._replicas.encode(batch.items, queued)
        finally:
            tracing.end(span)

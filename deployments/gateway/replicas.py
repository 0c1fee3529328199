"""The replicas of one version: where they are, and how calls reach them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, RayServeException

from deployments.contract.call import Queued
from deployments.contract.embedding import Label
from deployments.contract.items import Item
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply, WrongArtifact
from deployments.observability.logging import logger
from deployments.rpc.calls import ConnectionLostError
from deployments.rpc.client import ConnectionPool
from deployments.rpc.connection import ArtifactGoneError, Connection, WrongArtifactError
from deployments.serve_internals import seams
from deployments.serve_internals.replica_search import ReplicaSearch, last_line
from models.errors import EngineError, EngineTimeoutError, UnavailableError

# An embedding is idempotent: a lost call goes to another replica. Serve draws it: where one of two replicas fails after a
# second, eight attempts miss the good one once in 256 calls. The callers' deadlines bound them.
CALL_ATTEMPTS = 8
LOST_ATTEMPTS = 3  # replicas that fail at the same call: it may be why, and each takes seconds to be replaced


class NotDeployedError(UnavailableError):
    """No application serves the version."""


class Replicas:
    """Calls to the replicas of one version."""

    def __init__(self, reference: str, application: str, deployment: str) -> None:
        """Know of none; ``reference`` is ``name@version``, the other two are Serve's names."""
        self._reference, self._application, self._deployment = reference, application, deployment
        self._handle: Any = None
        self._connections = ConnectionPool(reference)
        self._search = ReplicaSearch(reference, self._serve_handle, self._connections.pick)
        self.calls: Counter[str] = Counter()  # by way, since they were last reported

    async def encode(self, items: list[Item], queued: Queued) -> EncodeReply:
        """Let a replica embed items; when it dies, its engine fails, or it has another artifact, another replica.

        Raises:
            ArtifactGoneError: no replica that takes calls has the artifact that ``queued`` names.
            EngineError: several failed or ended at it.
            EngineTimeoutError: one hangs at it, and no other was asked: it might hang too.
            UnavailableError: none took it.
        """
        there: Label | None = None  # what a replica has instead
        lost = 0
        tried: list[Connection] = []
        for attempt in range(1, CALL_ATTEMPTS + 1):
            handle = await self._serve_handle()
            try:
                return await self._send(handle, items, queued, tried)
            except (ArtifactGoneError, EngineTimeoutError):
                raise
            except WrongArtifactError as error:
                there = error.label
            except (RayActorError, BackPressureError, UnavailableError) as error:
                logger.warning("call to %s failed, attempt %d: %s", self._reference, attempt, last_line(error))
                lost += isinstance(error, EngineError)
                if lost == LOST_ATTEMPTS:
                    break
            except RayServeException as error:
                self._handle = None
                raise UnavailableError(f"{self._reference} has no ready replica") from error
        if queued.hash is not None:  # where those that have it fail, others may still work
            there = there or self._connections.leading_label(besides=queued.hash)
        if there is not None:
            raise ArtifactGoneError(there)
        if lost == LOST_ATTEMPTS:
            raise EngineError(f"{lost} replicas of {self._reference} failed while they computed this; try again")
        raise UnavailableError(f"{self._reference} lost its replicas; try again")

    async def describe(self, max_age_s: float) -> ModelInfo:
        """Ask what the version serves, proved by an embedding not older than ``max_age_s`` seconds.

        Over a connection where there is one: Serve sends nothing to a replica that loads another artifact. While replicas
        disagree, it is what their majority says.

        Raises:
            RayError, RayServeException, EmbedserveError: none answers.
        """
        handle = await self._serve_handle()
        self._search.look()
        connection = self._connections.next_asked()
        if connection is not None:
            try:
                info = await connection.describe(max_age_s)
                return await self._agreed(info, max_age_s)
            except ConnectionLostError as error:
                logger.info("%s: %s", self._reference, error)
        described: ModelInfo = await handle.describe.remote(max_age_s)
        return described

    async def _agreed(self, info: ModelInfo, max_age_s: float) -> ModelInfo:
        """What most replicas say where one says something else, and why any of them refused a swap."""
        doubtful = self._connections.doubtful()
        if not doubtful:
            return info
        leading = self._connections.leading_label()
        if leading is not None and leading != info.label:
            connection = self._connections.pick(self._search.endpoints, leading.identity)
            info = info if connection is None else await connection.describe(max_age_s)
        for one in doubtful:
            one.inquire(max_age_s)
        refusals = [one.swap_error for one in doubtful if one.swap_error is not None]
        return replace(info, swap_error=refusals[0]) if refusals else info

    async def _send(self, handle: Any, items: list[Item], queued: Queued, tried: list[Connection]) -> EncodeReply:
        """Over a connection of our own where there is one to every replica, otherwise through Serve's handle."""
        connection = self._connection(queued.hash, tried)
        if connection is not None:
            tried.append(connection)
            self.calls["connection"] += 1
            seams.SEAMS.uses["connections"] += 1
            return await connection.encode(items, queued)
        self.calls["serve"] += 1
        reply: EncodeReply | WrongArtifact = await handle.encode.remote(items, queued)
        if isinstance(reply, WrongArtifact):
            raise WrongArtifactError(reply.label)
        return reply

    def _connection(self, hash_: str | None, tried: Collection[Connection]) -> Connection | None:
        if not self._search.on:
            self._search.forget()
            return None
        connection = self._connections.pick(self._search.endpoints, hash_, tried)
        if connection is None:
            self._search.look(missing=True)
        return connection

    async def _serve_handle(self) -> Any:
        if self._handle is None:
            try:  # in a thread: it waits for Serve's controller, once for a version, and each time while it is not deployed
                self._handle = await asyncio.to_thread(serve.get_deployment_handle, self._deployment, self._application)
            except (RayServeException, KeyError) as error:  # no such application, or one that failed to be built
                raise NotDeployedError(f"{self._reference} is not deployed") from error
        return self._handle

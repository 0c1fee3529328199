"""The replicas of one version agree on one numerics class: the configuration says which, or the first replica decides."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from deployments.config.encoder import AGREED, MIXED, EncoderConfig
from deployments.contract.embedding import Label
from deployments.contract.model_info import ModelInfo
from deployments.observability.logging import logger
from deployments.serve_internals import cluster_store
from models.errors import ArtifactError

# A replica that has claimed serves within seconds. So long a claim holds although no replica serves by it: two that start
# at once do not see each other.
STARTING_S = 60.0
ASK_TIMEOUT_S = 5.0
PROVED_S = 3600.0  # how old a sibling's proof may be: it is asked what it is, not whether it works

Siblings = Callable[[], Awaitable[Sequence[Label]]]  # the labels of the version's replicas that serve now


class Claims(Protocol):
    """Where the first replica's class is kept."""

    def available(self) -> bool:
        """Whether there is such a place."""

    def claim(self, key: str, value: str) -> str:
        """Write a value unless there is one; returns the one that there is afterwards."""

    def replace(self, key: str, value: str) -> None:
        """Write a value whatever there is."""


@dataclass(frozen=True)
class Agreement:
    """How a replica finds out whether its class is the version's."""

    claims: Claims = cluster_store
    siblings: Siblings | None = None  # None: asked through Serve
    now: Callable[[], float] = time.time

    async def require(self, label: Label, config: EncoderConfig) -> None:
        """Check that this replica may serve what it computes.

        Args:
            label: of the artifact that it has loaded.
            config: of this replica.

        Raises:
            ArtifactError: the version is computed by another class; the message says what helps.
        """
        if config.numerics == MIXED:
            return
        if config.numerics != AGREED:
            if label.numerics != config.numerics:
                raise ArtifactError(_refusal(label, config.numerics, "user_config asks for"))
            return
        there = await self._in_force(label, config)
        if there != label.numerics:
            raise ArtifactError(_refusal(label, there, "its other replicas compute"))

    async def _in_force(self, label: Label, config: EncoderConfig) -> str:
        """The class of the first replica, as long as there is one that serves by it or is about to."""
        if not self.claims.available():
            return await self._of_siblings(label) or label.numerics
        key = f"numerics/{label.model}/{label.hash}/{config.provider}"
        mine = f"{label.numerics} {self.now():.0f}"
        kept = await asyncio.to_thread(self.claims.claim, key, mine)  # it waits while Ray's head is away
        numerics, _, since = kept.rpartition(" ")
        if numerics == label.numerics or self.now() - float(since) < STARTING_S:
            return numerics
        there = await self._of_siblings(label)
        if there is None or there == label.numerics:
            logger.info("%s was %s, of which no replica is left; it is %s now", label.model, numerics, label.numerics)
            await asyncio.to_thread(self.claims.replace, key, mine)
            return label.numerics
        return there

    async def _of_siblings(self, label: Label) -> str | None:
        """The class of the replicas that serve the same artifact; None where there are none, or none says it."""
        found = [
            one.numerics for one in await (self.siblings or _siblings)() if one.hash == label.hash and one.numerics
        ]
        return max(sorted(set(found)), key=found.count, default=None)


async def _siblings() -> list[Label]:
    """Ask the other replicas of this deployment; one that loads an artifact itself is not asked."""
    context = serve.get_replica_context()
    try:
        handle = await asyncio.to_thread(serve.get_deployment_handle, context.deployment, context.app_name)
        answers = await handle.broadcast("describe", PROVED_S).results_async(
            timeout_s=ASK_TIMEOUT_S, return_exceptions=True
        )
    except (RayError, RayServeException, TimeoutError) as error:
        logger.info("no other replica of %s says what it computes: %r", context.app_name, error)
        return []
    return [answer.label for answer in answers if isinstance(answer, ModelInfo)]


def _refusal(label: Label, there: str, who: str) -> str:
    return (
        f"{label.model} would be computed here as {label.numerics}, and {who} {there}: vectors of the two differ in bits. "
        f"Place its replicas on nodes with the same processors and versions, or write `numerics: {MIXED}` in its "
        f"user_config, which allows that vectors of several classes are served under one version"
    )

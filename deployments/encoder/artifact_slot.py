"""The artifact that an encoder serves. The next one loads beside it, is tried out, and then takes its place."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any

from deployments.config.base import Profile, parse
from deployments.config.encoder import EncoderConfig
from deployments.contract.embedding import Label
from deployments.contract.reply import WrongArtifact
from deployments.encoder import device
from deployments.encoder.artifact_loader import ArtifactLoader
from deployments.encoder.loaded import Loaded
from deployments.observability.logging import logger
from models.catalog.artifact import Artifact
from models.catalog.model_spec import ModelSpec
from models.catalog.paths import ROOT, places, store
from models.engine import memory
from models.engine.engine import Engine
from models.engine.session import EngineOptions
from models.errors import ArtifactError, ConfigError, EmbedserveError
from models.redaction import for_everybody

RELEASE_POLL_S = 0.05
# What was not raised on purpose is for the log alone.
DEFECT = "the artifact failed to load; the replica's log says why"


class ArtifactSlot:
    """Holds the artifact that serves, and swaps it.

    A swap that fails leaves the old artifact serving and keeps the reason. Only a replica that serves nothing yet fails.
    """

    def __init__(
        self,
        spec: ModelSpec,
        profile: Profile,
        executor: Executor,
        on_switch: Callable[[EncoderConfig, Loaded], None],
        options: Callable[[EncoderConfig, Artifact], EngineOptions] = device.engine_options,
        require: Callable[[Label, EncoderConfig], Awaitable[None]] | None = None,
    ) -> None:
        """Stay empty until the first ``change``.

        Args:
            spec: the version that this encoder serves.
            profile: ``production`` refuses synthetic weights, and a provider other than the one asked for.
            executor: loads artifacts beside the event loop.
            on_switch: called with each artifact when it begins to serve.
            options: chooses the options of an artifact's engine; the default needs a Ray worker.
            require: raises unless this replica may serve what has the label; None: it always may.
        """
        self._spec = spec
        self._loader = ArtifactLoader(spec, profile, options)
        self._executor = executor
        self._on_switch = on_switch
        self._require = require
        self._config: EncoderConfig | None = None
        self._loaded: Loaded | None = None
        self._releasing: asyncio.Task[None] | None = None  # a task that nobody holds may vanish
        self._lock = asyncio.Lock()
        self.swap_error: str | None = (
            None  # why the last artifact asked for does not serve, for everybody; the log has more
        )

    @property
    def current(self) -> Loaded:
        """The artifact that serves now.

        Raises:
            ArtifactError: there is none yet.
        """
        if self._loaded is None:
            raise ArtifactError(f"{self._spec.reference} has no artifact yet")
        return self._loaded

    def refusal(self, wanted: str | None) -> WrongArtifact | None:
        """Why a call that names an artifact is not computed here; nothing for one that names none.

        Args:
            wanted: the hash or the identity that the call names.
        """
        label = self.current.label
        return None if wanted is None or label.answers(wanted) else WrongArtifact(label)

    async def change(self, user_config: dict[str, Any]) -> bool:
        """Serve the artifact that ``user_config`` names; returns whether it does now.

        Raises:
            EmbedserveError: it cannot be served, and nothing is served yet.
        """
        async with self._lock:
            try:
                await self._change(parse(EncoderConfig, user_config, f"user_config of {self._spec.reference}"))
            except Exception as error:  # raising would make Serve stop a replica that still serves
                if self._loaded is None:
                    raise
                self.swap_error = _for_everybody(error, str(user_config.get("artifact", "")))
                logger.error("swap refused, the old artifact goes on serving: %s", error)
                return False
            self.swap_error = None
            return True

    async def _change(self, config: EncoderConfig) -> None:
        if self._loaded is not None and self._config == config:
            return
        if self._loaded is not None and not config.cuda_graph_swaps:
            _refuse_captured(self._loaded.embedder.engine, config)
        loaded = await asyncio.get_running_loop().run_in_executor(self._executor, self._loader.load, config)
        if self._require is not None:
            await self._require(loaded.label, config)
        old, self._releasing = self._loaded, None
        self._config, self._loaded = config, loaded
        self._on_switch(config, loaded)
        logger.info("serving %s with artifact %s", loaded.label.model, loaded.label.hash)
        if old is not None:
            self._releasing = asyncio.ensure_future(self._release(weakref.ref(old)))

    async def _release(self, old: weakref.ref[Loaded]) -> None:
        """Give the old artifact's memory back to the system, after the last batch that was prepared for it."""
        while old() is not None:  # noqa: ASYNC110 - a weak reference has no event to wait for
            await asyncio.sleep(RELEASE_POLL_S)
        await asyncio.get_running_loop().run_in_executor(self._executor, memory.release)


def _refuse_captured(serving: Engine, config: EncoderConfig) -> None:
    """Refuse to load another artifact beside captured launches, or to capture beside an artifact that computes.

    Raises:
        ConfigError: it would be so.
    """
    if serving.replays or (serving.on_card and config.cuda_graph):
        raise ConfigError(
            "cuda_graph: a swap while launches are captured or replayed is proved on no card; serve the artifact as a version "
            "of its own, restart this one, or set cuda_graph_swaps: true to try it"
        )


def _for_everybody(error: Exception, artifact: str) -> str:
    """Why a swap was refused, without the folders that its message may name."""
    if not isinstance(error, EmbedserveError):
        return DEFECT
    return for_everybody(error, (*(place.parent for place in places(artifact)), store(), ROOT))

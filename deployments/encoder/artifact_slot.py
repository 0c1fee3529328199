"""The artifact that an encoder serves. The next one loads beside it, is tried out, and then takes its place."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from deployments.config.base import Profile, parse
from deployments.config.encoder import MIXED, EncoderConfig
from deployments.contract.embedding import Label
from deployments.contract.reply import WrongArtifact
from deployments.encoder import device
from deployments.observability.logging import logger
from models.catalog.artifact import Artifact, open_artifact, with_shrinking
from models.catalog.catalog import Catalog
from models.catalog.model_spec import ModelSpec
from models.catalog.paths import ROOT, found_path, places, store
from models.catalog.record import is_synthetic, vouched
from models.catalog.source_entry import RANDOM
from models.catalog.store import pull
from models.embedder import open_embedder, warm_up
from models.engine import memory
from models.engine.card_trouble import Trouble
from models.engine.engine import Engine
from models.engine.session import EngineOptions
from models.errors import ArtifactError, ConfigError, EmbedserveError
from models.modalities.base import Embedder, Preparation
from models.redaction import for_everybody

RELEASE_POLL_S = 0.05
# For real weights where random ones stand in: a silent hub or proxy would hold up a swap for minutes.
LOOK_AGAIN_S = 600.0
# What was not raised on purpose is for the log alone.
DEFECT = "the artifact failed to load; the replica's log says why"


@dataclass(frozen=True)
class Loaded:
    """An artifact in memory, with the label that its vectors carry."""

    embedder: Embedder
    label: Label
    prepare: Preparation
    mixed: bool = False  # replicas of other numerics classes may serve it too
    checkpoints: tuple[str, ...] = ()  # what its weights may be part of
    notices: tuple[Trouble, ...] = ()  # why it computes elsewhere, or less well, than it should


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
        self._profile = profile
        self._executor = executor
        self._on_switch = on_switch
        self._options = options
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
        loaded = await asyncio.get_running_loop().run_in_executor(self._executor, self._load, config)
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

    def _load(self, config: EncoderConfig) -> Loaded:
        opened = self._artifact(config.artifact)
        artifact = with_shrinking(opened, config.shrink_margin)
        name = artifact.graph.name
        if config.hash is not None and config.hash != artifact.hash:
            raise ArtifactError(f"{name} has content hash {artifact.hash}, user_config asks for {config.hash}")
        synthetic = is_synthetic(artifact)
        if synthetic and self._profile == "production":
            raise ArtifactError(f"{name} has synthetic weights, which the production profile refuses")
        if config.hash is None and not vouched(opened):
            self._require_known(opened, config.shrink_margin)
        embedder = open_embedder(artifact, self._options(config, artifact))
        device.prove(embedder, config, self._profile)
        warm_up(embedder)
        for trouble in embedder.engine.noticed:
            logger.warning("%s", trouble)
        dependent = bool(artifact.spec.config.get("batch_dependent"))
        numerics = embedder.engine.numerics(artifact.spec.precision)
        mapped = artifact.spec.adapted
        adapted = None if mapped is None else (mapped.to, mapped.hash)
        label = Label(self._spec.reference, artifact.hash, synthetic, numerics, dependent, adapted)
        found = {RANDOM} if synthetic else artifact.spec.checkpoints - {RANDOM}
        prepare = embedder.preparation(config.limits)
        return Loaded(
            embedder,
            label,
            prepare,
            config.numerics == MIXED,
            tuple(sorted(found)),
            device.notices(embedder, config),
        )

    def _require_known(self, artifact: Artifact, margin: int | None) -> None:
        """Production serves no file of which nothing says what it should be; elsewhere the log names it."""
        shown = with_shrinking(artifact, margin).hash
        said = f"neither a record nor a hash says what {artifact.graph.name} should be; `hash: {shown}` in user_config pins it"
        if self._profile == "production":
            raise ArtifactError(said)
        logger.warning("%s", said)

    def _artifact(self, name: str) -> Artifact:
        if "@" not in name:
            return open_artifact(self._spec, found_path(name))
        spec = Catalog.load().find(name)
        if (spec.type, spec.dimensions) != (self._spec.type, self._spec.dimensions):
            raise ArtifactError(
                f"{name} is {spec.type} with {spec.dimensions} dimensions; {self._spec.reference} is "
                f"{self._spec.type} with {self._spec.dimensions}: give it a version of its own"
            )
        return pull(spec, allow_synthetic=self._profile == "development", retry_s=LOOK_AGAIN_S)


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

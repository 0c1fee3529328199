"""Encoder deployments: one model version each, batched under a token or pixel budget, swapped by reconfigure."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from ray import serve

from deployments.apps.decoder import Decoders
from deployments.autoscaling.busy_pool import BusyPool
from deployments.autoscaling.workload import Workload
from deployments.config.base import Profile, parse
from deployments.config.encoder import EncoderConfig
from deployments.config.limits import EncoderLimits
from deployments.contract.call import Queued
from deployments.contract.embedding import Label
from deployments.contract.items import Item, ItemError
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply, Stages
from deployments.encoder import device
from deployments.encoder.decoding import Rules, decode_item
from deployments.encoder.engine_pool import EnginePool
from deployments.observability import tracing
from deployments.observability.encoder_metrics import EncoderMetrics
from deployments.observability.logging import logger
from deployments.rpc.server import CALLS, Endpoint, Server
from deployments.serve_internals.replica_options import max_ongoing_requests
from models.catalog.artifact import open_artifact, with_shrinking
from models.catalog.catalog import Catalog, ModelSpec, resolve_path
from models.catalog.store import is_synthetic, pull
from models.embedder import Embedder, ImageEmbedder, TextEmbedder, open_embedder, padding, probe, warm_up
from models.engine import memory
from models.errors import ArtifactError, InputError
from models.inputs.image_header import ImageLimits

if TYPE_CHECKING:
    from opentelemetry.trace import Span

IMAGE_COST = 64  # an image in units of tokens: ViT-B/32 takes about 64 times a MiniLM token's work per picture
RELEASE_POLL_S = 0.05
FLUSH_S = 1.0  # between two hand-overs of metrics to Ray
# In the engine at once: while the threads of one batch finish unevenly, the next one's fill in. 16 texts per request from
# 32 clients: 110 requests/s on 2 cores, 92 one after the other.
BATCHES = 2
INLINE_CHARACTERS = 1024  # tokenised where they arrive: 0.3 ms, where another thread's turn costs 0.1 to 0.2
DECODE_THREADS = 2  # decoding releases the interpreter; more threads than cores would only slow inference


@dataclass(frozen=True)
class Loaded:
    """An artifact in memory, with the label its vectors carry."""

    embedder: Embedder
    label: Label
    limits: EncoderLimits


@dataclass(slots=True, eq=False)
class Passage:
    """A call on its way through: for whom it is traced, and where its time goes."""

    trace: Sequence[str]  # as tracing.carried gave it
    span: Span | None
    queue_s: float = 0.0
    inference_s: float = 0.0


@dataclass(frozen=True)
class Chunk:
    """Prepared inputs of one call that run together."""

    loaded: Loaded
    rows: list[NDArray[Any]]  # int32 [t] token ids, or uint8 [h, w, 3] pixels
    cost: int  # tokens, or images × IMAGE_COST
    since: float  # perf_counter seconds when it was ready to run
    call: Passage


def total_cost(chunks: list[Chunk]) -> int:
    """The size of a batch; pure arithmetic, because an exception here would end @serve.batch's loop (ray #66140)."""
    return sum(chunk.cost for chunk in chunks)


class Encoder:
    """What text and image encoders share: the artifact's life, batching, and answers that name their artifact."""

    def __init__(self, reference: str, profile: Profile) -> None:
        """Prepare to serve ``name@version``; the artifact itself comes with the first ``reconfigure``.

        Raises:
            ModelNotFoundError: the catalogue has no such version.
        """
        tracing.start("embedserve-encoder")
        self._spec = Catalog.load().find(reference)
        self._profile = profile
        self._config: EncoderConfig | None = None
        self._loaded: Loaded | None = None
        self._swap_error: str | None = None
        self._metrics = EncoderMetrics()
        self._labels = (self._spec.model, self._spec.version)
        self._releasing: asyncio.Task[None] | None = None  # a task that nobody holds may vanish
        self._flushed_at = 0.0
        self._reconfigure_lock = asyncio.Lock()
        self._threads = BusyPool(DECODE_THREADS, "prepare")
        self._engine = EnginePool(BATCHES)
        self._workload = Workload()
        self._channel = Server(self.encode, self.describe, partial(max_ongoing_requests, CALLS))

    async def endpoint(self) -> tuple[str, Endpoint]:
        """This replica's id, and where it takes calls without Serve; every gateway asks for it, through Serve."""
        return serve.get_replica_context().replica_id.unique_id, await self._channel.start()

    def __del__(self) -> Awaitable[None] | None:
        """Let calls under way finish; Serve calls and awaits this once it sends no more of its own."""
        channel = getattr(self, "_channel", None)  # absent where __init__ raised
        return channel.close() if channel is not None and channel.listening else None

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Swap to the artifact that ``user_config`` names.

        The new one loads beside the old one and must prove itself on a probe; when it does not, a serving replica
        keeps the old one and says so, a starting replica fails its start.

        Raises:
            EmbedserveError: only while nothing serves yet.
        """
        async with self._reconfigure_lock:
            try:
                config = parse(EncoderConfig, user_config, f"user_config of {self._spec.reference}")
                if self._loaded is None or self._config != config:
                    loop = asyncio.get_running_loop()
                    loaded = await loop.run_in_executor(self._threads, self._load, config)
                    old, self._releasing = self._loaded, None
                    self._apply(config, loaded)
                    if old is not None:
                        self._releasing = asyncio.ensure_future(self._release(weakref.ref(old)))
                    del old, loaded
                self._swap_error = None
                self._metrics.swaps.add((*self._labels, "success"))
            except Exception as error:  # a raise would make Serve stop this replica, which still serves well
                if self._loaded is None:
                    raise
                self._swap_error = str(error)
                self._metrics.swaps.add((*self._labels, "refused"))
                logger.error("swap refused, the old artifact goes on serving: %s", error)

    async def _release(self, old: weakref.ref[Loaded]) -> None:
        """Give the old artifact's memory back once the last batch that was prepared for it is over."""
        while old() is not None:  # noqa: ASYNC110 - a weak reference has no event to wait for
            await asyncio.sleep(RELEASE_POLL_S)
        await asyncio.get_running_loop().run_in_executor(self._threads, memory.release)

    def _apply(self, config: EncoderConfig, loaded: Loaded) -> None:
        self._config, self._loaded = config, loaded
        self._engine.timeout_s = config.engine_timeout_s
        self._run.set_max_batch_size(config.batch_cost)  # type: ignore[attr-defined]
        self._metrics.note_provider(self._labels, loaded.embedder.engine.provider)
        logger.info("serving %s with artifact %s", loaded.label.model, loaded.label.hash)

    def _load(self, config: EncoderConfig) -> Loaded:
        artifact = with_shrinking(self._artifact(config.artifact), config.shrink_margin)
        if config.hash is not None and config.hash != artifact.hash:
            raise ArtifactError(
                f"{artifact.graph.name} has content hash {artifact.hash}, user_config asks for {config.hash}"
            )
        synthetic = is_synthetic(artifact)
        if synthetic and self._profile == "production":
            raise ArtifactError(f"{artifact.graph.name} has synthetic weights, which the production profile refuses")
        embedder = open_embedder(artifact, device.engine_options(config, artifact, IMAGE_COST))
        device.prove(embedder, config, self._profile)
        warm_up(embedder)
        return Loaded(embedder, Label(self._spec.reference, artifact.hash, synthetic), config.limits)

    def _artifact(self, name: str) -> Any:
        if "@" in name:
            spec: ModelSpec = Catalog.load().find(name)
            if (spec.type, spec.dimensions) != (self._spec.type, self._spec.dimensions):
                raise ArtifactError(
                    f"{name} is {spec.type} with {spec.dimensions} dimensions; {self._spec.reference} is "
                    f"{self._spec.type} with {self._spec.dimensions}: give it a version of its own"
                )
            return pull(spec, allow_synthetic=self._profile == "development")
        return open_artifact(self._spec, resolve_path(name))

    async def describe(self, max_age_s: float = 10.0) -> ModelInfo:
        """What this replica serves right now, proved by an embedding not older than ``max_age_s`` seconds.

        Raises:
            ArtifactError: the engine does not embed any more.
            UnavailableError: it does not answer.
        """
        loaded = self._current()
        if time.monotonic() - self._engine.proved_at > max_age_s:
            await self._engine.run(probe, loaded.embedder)
        embedder = loaded.embedder
        tokenizer = embedder.tokenizer if isinstance(embedder, TextEmbedder) else None
        return ModelInfo(
            label=loaded.label,
            name=embedder.artifact.spec.name,
            modality=self._spec.type,
            dimensions=self._spec.dimensions,
            precision=embedder.artifact.spec.precision,
            provider=embedder.engine.provider,
            vocabulary=tokenizer.vocabulary if tokenizer else None,
            max_tokens=tokenizer.max_length if tokenizer else None,
            swap_error=self._swap_error,
        )

    async def check_health(self) -> None:
        """Serve's health check: fails, and so replaces this replica, when the engine does not embed."""
        await self.describe()

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What Serve asks for and hands to the autoscaling policy; the slower of the two stages decides."""
        return self._workload.report(max(self._engine.busy(), self._threads.busy()))

    async def encode(self, items: list[Item], queued: Queued | None = None) -> EncodeReply:
        """Embed items, each failing alone.

        Args:
            items: texts or token ids for a text encoder, encoded images for an image encoder.
            queued: what the caller knows of this call's cost and of its queue.
        """
        queued = queued or Queued("", len(items), 0)
        self._workload.begin(queued)
        try:
            return await self._encode(items, queued)
        finally:
            self._workload.end(queued)

    async def _encode(self, items: list[Item], queued: Queued) -> EncodeReply:
        call = Passage(queued.trace, tracing.encode(queued.trace, self._spec.reference))
        try:
            return await self._pass(items, call, queued)
        finally:
            tracing.end(call.span)

    async def _pass(self, items: list[Item], call: Passage, queued: Queued) -> EncodeReply:
        loaded = self._current()
        start = time.perf_counter()
        rows, errors = await self._prepare(loaded, items, queued)
        prepared = time.perf_counter()
        self._metrics.stage.observe((*self._labels, "preprocess"), (prepared - start) * 1000)
        tracing.stage("preprocess", call.span, start, prepared)
        good = [i for i, row in enumerate(rows) if row is not None]
        chunks = self._chunks(loaded, [row for row in rows if row is not None], call)
        parts = await asyncio.gather(*(self._run(chunk) for chunk in chunks))
        vectors = np.zeros((len(items), self._spec.dimensions), np.float32)
        if good:
            vectors[good] = np.concatenate(parts)
        tokens = [0 if row is None else self._tokens(row) for row in rows]
        return EncodeReply(
            loaded.label, vectors, tokens, errors, Stages(call.queue_s, prepared - start, call.inference_s)
        )

    @serve.batch(max_batch_size=2048, batch_wait_timeout_s=0, batch_size_fn=total_cost, max_concurrent_batches=BATCHES)
    async def _run(self, chunks: list[Chunk]) -> list[NDArray[np.float32]]:
        """Run prepared chunks together: those of one artifact in one go, so that a swap falls between two batches."""
        results: dict[int, NDArray[np.float32]] = {}
        formed = time.perf_counter()
        for loaded in {id(chunk.loaded): chunk.loaded for chunk in chunks}.values():
            mine = [i for i, chunk in enumerate(chunks) if chunk.loaded is loaded]
            rows = [row for i in mine for row in chunks[i].rows]
            start = time.perf_counter()
            vectors = await self._engine.run(self._embed, loaded.embedder, rows)
            self._note_batch([chunks[i] for i in mine], rows, formed, start)
            start = 0
            for i in mine:
                results[i] = vectors[start : start + len(chunks[i].rows)]
                start += len(chunks[i].rows)
        return [results[i] for i in range(len(chunks))]

    def _note_batch(self, chunks: list[Chunk], rows: list[NDArray[Any]], formed: float, start: float) -> None:
        now = time.perf_counter()
        self._metrics.batch.observe(self._labels, len(rows))
        if self._spec.type == "text":
            self._metrics.padding.observe(self._labels, padding([len(row) for row in rows]))
        self._metrics.stage.observe((*self._labels, "inference"), (now - start) * 1000)
        for chunk in chunks:
            self._metrics.stage.observe((*self._labels, "queue"), (start - chunk.since) * 1000)
            chunk.call.queue_s, chunk.call.inference_s = start - chunk.since, now - start
            tracing.stage("queue", chunk.call.span, chunk.since, start)
        traced = {id(chunk.call): (chunk.call.span, chunk.call.trace) for chunk in chunks if chunk.call.span}
        if traced:
            attributes = {"embedserve.items": len(rows), "embedserve.calls": len(chunks)}
            tracing.batch(list(traced.values()), (formed, start, now), attributes)
        if now - self._flushed_at > FLUSH_S:
            self._metrics.flush()
            self._flushed_at = now

    def _chunks(self, loaded: Loaded, rows: list[NDArray[Any]], call: Passage) -> list[Chunk]:
        """Split a call so that no chunk exceeds the batch budget, which @serve.batch could not take."""
        budget = self._config.batch_cost if self._config else 1
        chunks: list[Chunk] = []
        current: list[NDArray[Any]] = []
        cost = 0
        for row in rows:
            own = self._cost(row)
            if current and cost + own > budget:
                chunks.append(Chunk(loaded, current, cost, time.perf_counter(), call))
                current, cost = [], 0
            current.append(row)
            cost += own
        if current:
            chunks.append(Chunk(loaded, current, min(cost, budget), time.perf_counter(), call))
        return chunks

    def _current(self) -> Loaded:
        if self._loaded is None:
            raise ArtifactError(f"{self._spec.reference} has no artifact yet")
        return self._loaded

    async def _prepare(
        self, loaded: Loaded, items: list[Item], queued: Queued
    ) -> tuple[list[NDArray[Any] | None], dict[int, ItemError]]:
        """Turn items into rows off the event loop; an item that cannot be turned gets an error instead."""
        raise NotImplementedError

    def _embed(self, embedder: Any, rows: list[NDArray[Any]]) -> NDArray[np.float32]:
        raise NotImplementedError

    def _cost(self, _: NDArray[Any]) -> int:
        raise NotImplementedError

    def _tokens(self, _: NDArray[Any]) -> int:
        raise NotImplementedError


@serve.deployment(max_ongoing_requests=CALLS)
class TextEncoder(Encoder):
    """Serves one version of a text model."""

    async def _prepare(
        self, loaded: Loaded, items: list[Item], _: Queued
    ) -> tuple[list[NDArray[Any] | None], dict[int, ItemError]]:
        embedder = loaded.embedder
        assert isinstance(embedder, TextEmbedder)
        if sum(map(len, items)) <= INLINE_CHARACTERS:
            return _tokenise(embedder, items)
        return await asyncio.get_running_loop().run_in_executor(self._threads, _tokenise, embedder, items)

    def _embed(self, embedder: Any, rows: list[NDArray[Any]]) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = embedder.embed_ids(rows)
        return vectors

    def _cost(self, row: NDArray[Any]) -> int:
        return len(row)

    def _tokens(self, row: NDArray[Any]) -> int:
        return len(row)


@serve.deployment(max_ongoing_requests=CALLS)
class ImageEncoder(Encoder):
    """Serves one version of an image model; decoding runs in threads beside inference, or in decoders of its own."""

    def __init__(self, reference: str, profile: Profile, decoder: Any = None) -> None:
        """As every encoder; ``decoder`` is the handle of a ``Decoder`` deployment, without which threads here decode."""
        super().__init__(reference, profile)
        self._decoders = None if decoder is None else Decoders(decoder)

    async def _prepare(
        self, loaded: Loaded, items: list[Item], queued: Queued
    ) -> tuple[list[NDArray[Any] | None], dict[int, ItemError]]:
        embedder = loaded.embedder
        assert isinstance(embedder, ImageEmbedder)
        accepted = ImageLimits(loaded.limits.image_formats, loaded.limits.image_pixels)
        rules = Rules(embedder.size, accepted, embedder.shrink_margin)
        if self._decoders is not None:
            outcomes = await self._decoders.decode(items, rules, queued)
        else:
            loop, work = asyncio.get_running_loop(), partial(decode_item, rules)
            outcomes = await asyncio.gather(*(loop.run_in_executor(self._threads, work, item) for item in items))
        errors = {i: outcome for i, outcome in enumerate(outcomes) if isinstance(outcome, ItemError)}
        return [None if isinstance(outcome, ItemError) else outcome for outcome in outcomes], errors

    def _embed(self, embedder: Any, rows: list[NDArray[Any]]) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = embedder.embed_pixels(np.stack(rows))
        return vectors

    def _cost(self, _: NDArray[Any]) -> int:
        return IMAGE_COST

    def _tokens(self, _: NDArray[Any]) -> int:
        return 0


def _tokenise(embedder: TextEmbedder, items: list[Item]) -> tuple[list[NDArray[Any] | None], dict[int, ItemError]]:
    rows: list[NDArray[Any] | None] = [None] * len(items)
    errors: dict[int, ItemError] = {}
    texts = [i for i, item in enumerate(items) if isinstance(item, str)]
    for i, row in zip(texts, embedder.tokenizer.encode([items[i] for i in texts]), strict=True):  # type: ignore[misc]
        rows[i] = row
    for i, item in enumerate(items):
        if isinstance(item, tuple):
            try:
                rows[i] = embedder.tokenizer.wrap(item)
            except InputError as error:
                errors[i] = ItemError(str(error), error.code)
        elif isinstance(item, bytes):
            errors[i] = ItemError("this model embeds text, not images", "wrong_modality")
    return rows, errors

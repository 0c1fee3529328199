"""The encoder deployment: one version of one model, of any modality."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from ray import serve

from deployments.autoscaling.workload import Workload
from deployments.config.base import Profile
from deployments.config.encoder import EncoderConfig
from deployments.contract.call import Queued
from deployments.contract.items import Item, ItemError
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply, Stages, WrongArtifact
from deployments.encoder.artifact_slot import ArtifactSlot
from deployments.encoder.batching import BATCHES, Batcher, CallTrace, PreparedCall, Run
from deployments.encoder.decoders import Decoders
from deployments.encoder.description import description, troubles
from deployments.encoder.drift.reporter import DriftReporter
from deployments.encoder.engine_pool import EnginePool
from deployments.encoder.loaded import Loaded
from deployments.encoder.numerics_agreement import Agreement
from deployments.encoder.prepare_pool import PreparePool
from deployments.encoder.preparing import cut_of, prepare_here
from deployments.observability import tracing
from deployments.observability.encoder_metrics import EncoderMetrics
from deployments.rpc.encoding import EncodeServer
from deployments.rpc.server import CALLS, Endpoint
from deployments.serve_internals.replica_options import max_ongoing_requests
from models.catalog.catalog import Catalog
from models.embedder import probe
from models.engine import background
from models.errors import InputError

# How old an embedding may be that proves to health checks that the engine works. Traffic proves it all the time, and a failure
# ends the trust at once; an idle version embeds for this alone: a picture costs half of what it costs otherwise.
PROOF_S = 60.0
FLUSH_S = 1.0  # between two hand-overs of metrics to Ray
PATIENCE = 10  # times as long as others bulk may take, which they pass, before it counts as hanging
PREPARE_THREADS = 2  # decoding releases the interpreter lock; more threads would only slow inference on two cores


@serve.deployment(max_ongoing_requests=CALLS)
class Encoder:
    """Prepares inputs, batches them on the engine, and answers with vectors that name their artifact."""

    def __init__(self, reference: str, profile: Profile, decoder: Any = None) -> None:
        """Get ready to serve ``name@version``; the first ``reconfigure`` loads its artifact.

        Args:
            reference: ``name@version``, an entry of the catalogue.
            profile: ``development`` or ``production``.
            decoder: handle of a ``Decoder`` deployment; without one, threads here prepare inputs.

        Raises:
            ModelNotFoundError: the catalogue has no such version.
        """
        tracing.start("embedserve-encoder")
        self._spec = Catalog.load().find(reference)
        self._metrics = EncoderMetrics()
        self._labels = (self._spec.model, self._spec.version)
        self._decoders = None if decoder is None else Decoders(decoder, self._count_decoding)
        self._drift = DriftReporter(self._labels, self._metrics.drift)
        self._flushed_at = 0.0
        self._threads = PreparePool(PREPARE_THREADS, "prepare")
        self._loader = ThreadPoolExecutor(1, "load")  # a swap must not wait behind pictures
        self._engine = EnginePool(BATCHES)
        self._behind = EnginePool(BATCHES, begin=background.enter)  # of bulk
        self._batcher = Batcher(self._engine, self._note, self._behind)
        self._slot = ArtifactSlot(self._spec, profile, self._loader, self._switched, require=Agreement().require)
        self._workload = Workload()
        self._rpc = EncodeServer(self.encode, self.describe, partial(max_ongoing_requests, CALLS))

    async def endpoint(self) -> tuple[str, Endpoint]:
        """This replica's id, and the address at which it takes calls directly; gateways ask for both through Serve."""
        return serve.get_replica_context().replica_id.unique_id, await self._rpc.start()

    def __del__(self) -> Awaitable[None] | None:
        """Let calls under way finish; Serve calls and awaits this after it has stopped sending calls."""
        server = getattr(self, "_rpc", None)  # absent where __init__ raised
        return server.close() if server is not None and server.listening else None

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Swap to the artifact that ``user_config`` names; if that fails, keep the old one and remember why.

        Raises:
            EmbedserveError: it failed, and no older artifact serves.
        """
        changed = await self._slot.change(user_config)
        self._metrics.swaps.add((*self._labels, "success" if changed else "refused"))

    def _switched(self, config: EncoderConfig, loaded: Loaded) -> None:
        self._engine.timeout_s, self._engine.trouble = config.engine_timeout_s, None
        self._behind.timeout_s, self._behind.trouble = PATIENCE * config.engine_timeout_s, None
        self._batcher.limit(config.batch_cost)
        self._metrics.keep_old_names(config.old_metric_names)
        self._drift.switch(config, loaded)
        if self._decoders is not None:
            self._decoders.share(config.pixel_slots, loaded.prepare)
        provider, precision = loaded.embedder.engine.provider, loaded.embedder.artifact.spec.precision
        self._metrics.note_numerics(self._labels, loaded.label.hash, loaded.label.numerics, provider, precision)
        self._metrics.note_provider(self._labels, provider)
        self._metrics.note_troubles(self._labels, loaded.notices)

    def _count_decoding(self, way: str) -> None:
        self._metrics.decoder_calls.add((*self._labels, way))

    async def describe(self, max_age_s: float = PROOF_S) -> ModelInfo:
        """What this replica serves now, after an embedding that is at most ``max_age_s`` seconds old has proved that it works.

        Raises:
            ArtifactError: the engine no longer embeds.
            UnavailableError: the engine does not answer.
        """
        self._behind.check()
        if time.monotonic() - self._engine.proved_at > max_age_s:
            await self._engine.run(probe, self._slot.current.embedder)
        return description(self._spec, self._slot, self._engine.trouble or self._behind.trouble)

    async def check_health(self) -> None:
        """Serve's health check. It fails when the engine does not embed or a decoding hangs; Serve then replaces this replica."""
        self._drift.evaluate()
        self._metrics.note_troubles(self._labels, troubles(self._slot.current, self._engine.trouble))
        self._metrics.flush()  # also of a replica that has no work
        self._threads.check()
        await self.describe()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """The figures that Serve asks for and hands to the autoscaling policy; the busier of the two stages counts.

        A coroutine, because Serve would call a function in a thread, for ten times what it costs.
        """
        return self._workload.report(max(self._engine.busy(), self._behind.busy(), self._threads.busy()))

    async def encode(self, items: list[Item], queued: Queued | None = None) -> EncodeReply | WrongArtifact:
        """Embed items by the artifact that the call names, or say which one is here instead; a bad item fails alone.

        Args:
            items: inputs of the version's modality.
            queued: what the caller knows of this call's cost and of its queue; None counts one unit for each item.
        """
        queued = queued or Queued("", len(items), 0)
        refusal = self._slot.refusal(getattr(queued, "hash", None))  # a gateway of an earlier release sends none
        if refusal is not None:
            return refusal
        self._workload.begin(queued)
        trace = CallTrace(queued.trace, tracing.encode(queued.trace, self._spec.reference))
        try:
            return await self._encode(items, queued, trace)
        finally:
            tracing.end(trace.span)
            self._workload.end(queued)

    async def _encode(self, items: list[Item], queued: Queued, trace: CallTrace) -> EncodeReply:
        loaded = self._slot.current
        start = time.perf_counter()
        if self._decoders is None:
            prepared = await prepare_here(self._threads, loaded.prepare, items)
        else:
            prepared = await self._decoders.prepare(loaded.prepare, items, queued)
        ready = time.perf_counter()
        self._metrics.stage.observe((*self._labels, "preprocess"), ready - start)
        tracing.stage("preprocess", trace.span, start, ready)
        errors = {i: ItemError.of(row) for i, row in enumerate(prepared) if isinstance(row, InputError)}
        rows = [row for row in prepared if not isinstance(row, InputError)]
        embedder = loaded.embedder
        cut = await cut_of(self._threads, embedder, items, prepared)
        tokens = [0 if isinstance(row, InputError) else embedder.tokens(row) for row in prepared]
        vectors = np.zeros((len(items) if errors else 0, self._spec.dimensions), np.float32)
        if rows:
            cost = sum(map(embedder.cost, rows))
            good = [i for i in range(len(items)) if i not in errors]
            alone = getattr(queued, "alone", False)  # a gateway of an earlier release does not say
            call = PreparedCall(loaded, rows, cost, ready, trace, alone)
            behind = getattr(queued, "bulk", False) and not alone
            embedded = await (self._batcher.embed_behind(call) if behind else self._batcher.embed(call))
            if errors:
                vectors[good] = embedded
            else:
                vectors = embedded
            errors.update((good[row], why) for row, why in call.failed.items())
            self._drift.call(ready, loaded, items, prepared, vectors)
        return EncodeReply(
            loaded.label, vectors, tokens, errors, Stages(trace.queue_s, ready - start, trace.inference_s, cut)
        )

    def _note(self, run: Run) -> None:
        """Record a batch that came back: in the metrics, and in the traces of its calls."""
        self._metrics.batch.observe(self._labels, len(run.rows))
        padding = run.calls[0].loaded.embedder.padding(run.rows)
        if padding is not None:
            self._metrics.padding.observe(self._labels, padding)
        self._metrics.stage.observe((*self._labels, "inference"), run.ended - run.began)
        for call in run.calls:
            self._metrics.stage.observe((*self._labels, "queue"), run.began - call.since)
            call.trace.queue_s, call.trace.inference_s = run.began - call.since, run.ended - run.began
            tracing.stage("queue", call.trace.span, call.since, run.began)
        traced = [(call.trace.span, call.trace.callers) for call in run.calls if call.trace.span]
        if traced:
            attributes = {"embedserve.items": len(run.rows), "embedserve.calls": len(run.calls)}
            tracing.batch(traced, (run.formed, run.began, run.ended), attributes)
        if run.ended - self._flushed_at > FLUSH_S:
            self._metrics.flush()
            self._flushed_at = run.ended

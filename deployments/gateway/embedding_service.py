"""The heart of the gateway, which knows no protocol: a model name and inputs in, labelled vectors out."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from deployments.config.queue import Queue
from deployments.contract.embedding import Embedding, Label
from deployments.contract.items import Item
from deployments.contract.model_info import ModelInfo
from deployments.gateway.cache.tiered import TieredCache
from deployments.gateway.deadline import within
from deployments.gateway.embed_request import CacheState, EmbedRequest, EmbedResult
from deployments.gateway.embedding_source import EmbeddingSource
from deployments.gateway.exposures import key_hash
from deployments.gateway.image_fetch.fetcher import Fetcher
from deployments.gateway.input_validation import checked_dimensions, checked_items, refuse_cut
from deployments.gateway.model_names import towers_of
from deployments.gateway.model_registry import ModelRegistry
from deployments.gateway.model_version import ModelVersion
from deployments.gateway.neighbour_gauges import NeighbourGauges
from deployments.gateway.neighbour_sample import Answer
from deployments.gateway.prompts import prompted
from deployments.gateway.rate_limit import RateLimiter
from deployments.gateway.shadow import Shadow
from deployments.gateway.token_ids import without_foreign_ids
from deployments.gateway.towers import Towers
from deployments.gateway.traffic_split import How
from deployments.gateway.turns import SLICE, Turns
from deployments.gateway.vectors import of_length_one, shortened, stacked
from deployments.gateway.version_gauges import VersionGauges
from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.observability.request_record import RECORD, Exposure
from models.errors import DeadlineError, InputError
from models.modalities import MODALITIES

__all__ = ["EmbedRequest", "EmbedResult", "EmbeddingService"]


class EmbeddingService:
    """Finds the version that answers, checks what is asked, keeps the deadline, and accounts for every request."""

    def __init__(self, registry: ModelRegistry, metrics: GatewayMetrics) -> None:
        """Serve the versions of ``registry`` and count into ``metrics``."""
        self._rates = RateLimiter()
        self._fetcher = Fetcher()
        self.registry = registry
        self.metrics = metrics
        self._neighbours = NeighbourGauges(metrics)
        self._shadow = Shadow(metrics, self._neighbours.sample)
        self.cache = TieredCache(metrics)
        self.turns = Turns()
        self._source = EmbeddingSource(self.cache, self.turns)
        self._gauges = VersionGauges(metrics)
        self._towers = Towers(registry, self._embed_by)
        self.exposure_secret: bytes | None = None  # exposures are noted where there is one

    async def embed(self, request: EmbedRequest) -> EmbedResult:
        """Embed the items of a request, all by one artifact; by one of each tower where the name has several.

        Raises:
            ModelNotFoundError: no such model or version.
            InputError: an item or ``dimensions`` is wrong; the message names the item's index.
            UnavailableError: no capacity, or no ready replica.
            DeadlineError: the deadline passed.
            RateLimitError: the client is over its rate.
        """
        towers = towers_of(self.registry.config, request.model)
        if towers is not None:
            return await self._towers.embed(request, towers)
        return await self._embed_by(request, *self.registry.choose(request.model, request.key, request.headers))

    async def _embed_by(self, request: EmbedRequest, version: ModelVersion, how: How) -> EmbedResult:
        labels = (version.model, version.version)
        start = time.perf_counter()
        split = self.registry.experiments[version.model]
        keyed = "no" if request.key is None else "yes"
        self.metrics.assignments.add((version.model, version.version, split, how, keyed))
        if request.modalities is not None or (request.modality is not None and request.modality != version.modality):
            given = repr(request.modality)[:40] if request.modalities is None else "several modalities in one request"
            raise InputError(
                f"{version.reference} embeds {MODALITIES[version.modality].noun}; it takes no inputs of {given}",
                param=request.param,
                code="wrong_modality",
            )
        record = RECORD.get()
        if record is not None:
            record.model, record.version, record.items, record.bulk = *labels, len(request.items), request.bulk
            record.modality = version.modality
            if self.exposure_secret is not None:
                hashed = key_hash(self.exposure_secret, request.key) if request.key is not None else None
                record.exposure = Exposure(split, how, hashed)
        self._rates.take(request.client, len(request.items), self.registry.config.rate)
        result = await self._embed(request, version)
        if record is not None:
            record.hash, record.tokens, record.cache = result.label.hash, result.tokens, result.cache
            record.numerics = result.label.numerics
        self.metrics.items.add(labels, len(result.vectors))
        self.metrics.tokens.add(labels, result.tokens)
        self.metrics.latency.observe((*labels, version.modality, result.cache), time.perf_counter() - start)
        return result

    async def _embed(self, request: EmbedRequest, version: ModelVersion) -> EmbedResult:
        timeout = deadline_s(request.timeout_s, self.registry.config.queue)
        try:
            return await within(timeout, self._find(request, version))
        except TimeoutError as error:
            raise DeadlineError(f"the vectors were not ready within {timeout:g} s") from error

    async def _find(self, request: EmbedRequest, version: ModelVersion) -> EmbedResult:
        limits = self.registry.config.limits
        info = await version.ready_info()
        if len(request.items) > SLICE:
            request.make_room(info.dimensions)
        sent = await self._own_items(request, info)
        items = checked_items(sent, request.param, info, limits)
        dimensions = checked_dimensions(request.dimensions, info.dimensions)
        if request.prompt is not None or request.kind is not None:
            items = prompted(items, request.prompt, request.kind, info)
        found, cached = await self._source.find(version, info, items, limits, param=request.param, bulk=request.bulk)
        if not request.truncate:
            refuse_cut(found, request.param, info)
        vectors = as_kept = await stacked(found, self.turns)
        self._count_lookups(version, len(items), cached)
        self._copy_to_shadows(request, version, found[0].label, items, vectors)
        if dimensions < info.dimensions:
            vectors = shortened(vectors, dimensions)
        if request.normalize is not None:
            vectors = of_length_one(vectors, wanted=request.normalize)
        state: CacheState = "hit" if cached == len(items) else "partial" if cached else "miss"
        label = found[0].label if not info.mixed else _of_all(found)
        if label.model != version.reference:  # another version that serves the same artifact computed it
            label = replace(label, model=version.reference)
        kept = found if state == "hit" and vectors is as_kept and len(found) <= SLICE else None
        result = EmbedResult(label, vectors, sum(one.tokens for one in found), state, kept=kept)
        cut = [one.cut for one in found if one.cut]
        return replace(result, cut=len(cut), behind=sum(cut)) if cut else result

    async def _own_items(self, request: EmbedRequest, info: ModelInfo) -> Sequence[Item]:
        """The items as the model takes them: pictures that are named by URL are fetched, foreign token ids become texts."""
        config = self.registry.config
        if request.items and type(request.items[0]) is tuple and MODALITIES[info.modality].has_tokenizer:
            vocabulary = request.vocabulary or self.registry.token_vocabulary(request.model)
            return await without_foreign_ids(request.items, vocabulary, request.param, config.limits, self.turns)
        if config.fetch is None or not MODALITIES[info.modality].fetchable:
            return request.items
        return await self._fetcher.replace(request.items, request.param, config.fetch, config.limits)

    def _count_lookups(self, version: ModelVersion, items: int, cached: int) -> None:
        labels = (version.model, version.version)
        if cached:
            self.metrics.lookups.add((*labels, "hit"), cached)
        if cached < items:
            self.metrics.lookups.add((*labels, "miss"), items - cached)

    def _copy_to_shadows(
        self,
        request: EmbedRequest,
        version: ModelVersion,
        label: Label,
        items: list[Item],
        vectors: NDArray[np.float32],
    ) -> None:
        """Copy a request that named no version to the shadow versions of its model."""
        routes = self.registry.routes.get(
            version.model
        )  # none: the model was removed while this request was on its way
        if routes is None or not routes.shadow or "@" in request.model:
            return
        drawn, answer = random.random() * 100, Answer(version.version, label.hash, items, vectors)
        for name, percent in routes.shadow.items():
            candidate = self.registry.versions[f"{version.model}@{name}"]
            if candidate is not version:
                self._shadow.offer(percent, drawn, version, candidate, answer)

    async def report(self) -> None:
        """Hand what was counted to the metrics' exporter."""
        self._gauges.report(self.registry)
        self._neighbours.report(self.registry.versions)
        self.cache.report()
        await self.metrics.flush()


def deadline_s(asked: float | None, queue: Queue) -> float:
    """The deadline in seconds of a request that asks for this one, or for none."""
    return queue.timeout_s if asked is None else min(asked, max(queue.timeout_most_s, queue.timeout_s))


def _of_all(found: Sequence[Embedding]) -> Label:
    """The label of vectors of one artifact, whose numerics classes may differ: it names all of them."""
    classes = sorted({one.label.numerics for one in found})
    return replace(found[0].label, numerics=", ".join(classes)) if len(classes) > 1 else found[0].label

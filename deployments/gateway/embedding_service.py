"""The protocol-free heart of the gateway: a model name and inputs in, labelled vectors out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deployments.contract.types import Item, ItemError, Label, ModelInfo
from deployments.gateway.cache.memory import Entry, cache_key
from deployments.gateway.cache.tiered import TieredCache
from deployments.gateway.image_fetch.fetcher import Fetcher
from deployments.gateway.input_validation import checked_dimensions, checked_items, image_refusal
from deployments.gateway.model_registry import ModelRegistry
from deployments.gateway.model_version import ModelVersion
from deployments.gateway.rate_limit import RateLimiter
from deployments.gateway.request_queue import BULK
from deployments.gateway.shadow import Shadow
from deployments.observability.metrics import GatewayMetrics
from deployments.observability.request_record import RECORD
from models.errors import DeadlineError, InputError, LimitError, UnavailableError

CacheState = Literal["hit", "miss", "partial"]
LABEL_ROUNDS = 4  # how often a list may be torn by swaps before it is given up


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """What every protocol comes down to."""

    model: str
    items: Sequence[Item]
    dimensions: int | None = None
    key: str | None = None  # whom A/B routing keeps with a version
    headers: Mapping[str, str] = field(default_factory=dict)  # what routing overrides may match
    timeout_s: float | None = None
    client: str | None = None  # the name of its API key: whose rate it counts against
    bulk: bool = False  # nobody waits for it: it lets others pass
    param: str = "input"  # the field that errors name


@dataclass(frozen=True, slots=True)
class EmbedResult:
    """Unit vectors of one artifact."""

    label: Label
    vectors: NDArray[np.float32]  # [n, dimensions]
    tokens: int
    cache: CacheState


@dataclass(frozen=True, slots=True)
class _Computed:
    label: Label
    vector: NDArray[np.float32]
    tokens: int


class EmbeddingService:
    """Answers from the cache what it holds and lets the version's queue compute the rest."""

    def __init__(self, registry: ModelRegistry, metrics: GatewayMetrics) -> None:
        """Serve the versions of ``registry`` and count into ``metrics``."""
        self._rates = RateLimiter()
        self._fetcher = Fetcher()
        self.registry = registry
        self.metrics = metrics
        self._shadow = Shadow(metrics)
        self.cache = TieredCache(metrics)
        self._artifacts: dict[str, str] = {}  # the hash last reported of each version
        self._inflight: dict[bytes, asyncio.Future[_Computed | ItemError]] = {}

    async def embed(self, request: EmbedRequest) -> EmbedResult:
        """Embed the items of a request, all by one artifact.

        Raises:
            ModelNotFoundError: no such model or version.
            InputError: an item or ``dimensions`` is wrong; the message names the item's index.
            UnavailableError: no capacity, or no ready replica.
            DeadlineError: the deadline passed.
            RateLimitError: the client is over its rate.
        """
        version = self.registry.resolve(request.model, request.key, request.headers)
        labels = (version.model, version.version)
        start = time.perf_counter()
        record = RECORD.get()
        if record is not None:
            record.model, record.version, record.items, record.bulk = *labels, len(request.items), request.bulk
        self._rates.take(request.client, len(request.items), self.registry.config.rate)
        BULK.set(request.bulk)
        result = await self._embed(request, version)
        if record is not None:
            record.hash, record.tokens, record.cache = result.label.hash, result.tokens, result.cache
        self.metrics.items.add(labels, len(result.vectors))
        self.metrics.tokens.add(labels, result.tokens)
        self.metrics.latency.observe(labels, (time.perf_counter() - start) * 1000)
        return result

    async def _embed(self, request: EmbedRequest, version: ModelVersion) -> EmbedResult:
        timeout = request.timeout_s or self.registry.config.queue.timeout_s
        try:
            async with asyncio.timeout(timeout):
                info = await self._info(version)
                sent = await self._fetched(request, info)
                items = checked_items(sent, request.param, info, self.registry.config.limits)
                dimensions = checked_dimensions(request.dimensions, info.dimensions)
                computed, cached = await self._compute(version, info, items, request.param)
        except TimeoutError as error:
            raise DeadlineError(f"the vectors were not ready within {timeout:g} s") from error
        vectors = computed[0].vector[np.newaxis] if len(computed) == 1 else np.stack([one.vector for one in computed])
        self._account(request, version, items, cached, vectors)
        if dimensions < info.dimensions:
            vectors = _shortened(vectors, dimensions)
        state: CacheState = "hit" if cached == len(items) else "partial" if cached else "miss"
        return EmbedResult(computed[0].label, vectors, sum(one.tokens for one in computed), state)

    async def _fetched(self, request: EmbedRequest, info: ModelInfo) -> Sequence[Item]:
        """The items of a request; pictures that it names by URL are fetched where that is allowed."""
        config = self.registry.config
        if config.fetch is None or info.modality != "image":
            return request.items
        return await self._fetcher.replace(request.items, request.param, config.fetch, config.limits)

    def _account(
        self, request: EmbedRequest, version: ModelVersion, items: list[Item], cached: int, vectors: NDArray[np.float32]
    ) -> None:
        """Count cache lookups, and copy unpinned requests to shadow versions."""
        labels = (version.model, version.version)
        if cached:
            self.metrics.lookups.add((*labels, "hit"), cached)
        if cached < len(items):
            self.metrics.lookups.add((*labels, "miss"), len(items) - cached)
        shadows = self.registry.routes[version.model].shadow
        if shadows and "@" not in request.model:
            for name, percent in shadows.items():
                candidate = self.registry.versions[f"{version.model}@{name}"]
                if candidate is not version:
                    self._shadow.offer(percent, version, candidate, items, vectors)

    def report(self) -> None:
        """Hand what was counted to the metrics' exporter."""
        for version in self.registry.versions.values():
            labels = {"model": version.model, "version": version.version}
            self.metrics.ready.set(float(version.takes_requests), labels)
            self.metrics.queue.set(version.coalescer.waiting_items, labels)
            for way, count in version.calls.items():
                self.metrics.calls.add((version.model, version.version, way), count)
            version.calls.clear()
            if version.info is not None:
                self._report_artifact(version, version.info.label.hash)
        self.cache.report()
        self.metrics.flush()

    def _report_artifact(self, version: ModelVersion, current: str) -> None:
        """Set the hash served to 1 and the one before it to 0, which would stand for ever otherwise."""
        labels = {"model": version.model, "version": version.version}
        before = self._artifacts.get(version.reference)
        if before not in (None, current):
            self.metrics.artifact.set(0, {**labels, "hash": before})
        self._artifacts[version.reference] = current
        self.metrics.artifact.set(1, {**labels, "hash": current})

    async def _info(self, version: ModelVersion) -> ModelInfo:
        if version.info is None:
            await version.wake()
        if version.info is None:
            raise UnavailableError(f"{version.reference} has no ready replica", retry_after_s=2)
        return version.info

    async def _compute(
        self, version: ModelVersion, info: ModelInfo, items: list[Item], param: str
    ) -> tuple[list[_Computed], int]:
        """Vectors of all items under one label; a list torn by a swap is completed under the newer artifact."""
        hash_ = info.label.hash
        for _ in range(LABEL_ROUNDS):
            computed, cached = await self._round(version, info, hash_, items, param)
            if len({one.label.hash for one in computed}) == 1:
                return computed, cached
            hash_ = next(one.label.hash for one in reversed(computed) if one.label.hash != hash_)
        raise UnavailableError(f"{version.reference} is being swapped; try again")

    async def _round(
        self, version: ModelVersion, info: ModelInfo, hash_: str, items: list[Item], param: str
    ) -> tuple[list[_Computed], int]:
        results: dict[int, _Computed] = {}
        owned: dict[bytes, list[int]] = {}
        joined: list[tuple[int, asyncio.Future[_Computed | ItemError]]] = []
        for index, item in enumerate(items):
            key = cache_key(hash_, item)
            entry = self.cache.get(key)
            if entry is not None:
                results[index] = _cached(info, hash_, entry)
            elif key in owned:
                owned[key].append(index)
            elif key in self._inflight:
                joined.append((index, self._inflight[key]))
            else:
                owned[key] = [index]
        cached = len(results)
        if owned:
            cached += await self._lead(version, info, hash_, items, owned, results, param)
        for index, future in joined:
            results[index] = await self._follow(version, items[index], index, future, param)
        return [results[i] for i in range(len(items))], cached

    async def _lead(
        self,
        version: ModelVersion,
        info: ModelInfo,
        hash_: str,
        items: list[Item],
        owned: dict[bytes, list[int]],
        results: dict[int, _Computed],
        param: str,
    ) -> int:
        """Fetch or compute inputs that nobody computes yet; equal inputs that arrive meanwhile wait for these.

        Returns:
            How many of the items the shared cache held.
        """
        loop = asyncio.get_running_loop()
        futures = {key: loop.create_future() for key in owned}
        if not BULK.get():  # whoever is in a hurry must not come to wait for bulk
            self._inflight.update(futures)
        try:
            shared = await self.cache.fetch((version.model, version.version), list(owned), info.dimensions)
            for key, entry in shared.items():
                one = _cached(info, hash_, entry)
                futures[key].set_result(one)
                results.update(dict.fromkeys(owned[key], one))
            rest = {key: indices for key, indices in owned.items() if key not in shared}
            error = await self._send(version, items, rest, futures, results) if rest else None
        finally:
            for key, future in futures.items():
                if self._inflight.get(key) is future:
                    del self._inflight[key]
                if not future.done():
                    future.cancel()  # whoever waited computes it alone
        if error is not None:
            raise _item_error(*error, len(items), param)
        return sum(len(owned[key]) for key in shared)

    async def _send(
        self,
        version: ModelVersion,
        items: list[Item],
        owned: dict[bytes, list[int]],
        futures: dict[bytes, asyncio.Future[_Computed | ItemError]],
        results: dict[int, _Computed],
    ) -> tuple[int, ItemError] | None:
        """Compute inputs and keep their vectors; returns the first that failed, or that may not be computed."""
        for key, indices in owned.items():
            refusal = image_refusal(items[indices[0]], self.registry.config.limits)
            if refusal is not None:
                futures[key].set_result(refusal)
                return indices[0], refusal
        outcomes = await version.coalescer.submit([items[indices[0]] for indices in owned.values()])
        error: tuple[int, ItemError] | None = None
        for (key, indices), outcome in zip(owned.items(), outcomes, strict=True):
            if outcome.error is not None:
                futures[key].set_result(outcome.error)
                error = error or (indices[0], outcome.error)
                continue
            vector, tokens = outcome.reply.vectors[outcome.row], outcome.reply.tokens[outcome.row]
            one = _Computed(outcome.label, vector, tokens)
            futures[key].set_result(one)
            kept = cache_key(outcome.label.hash, items[indices[0]])
            self.cache.put(kept, Entry(vector, tokens, outcome.label.synthetic))
            results.update(dict.fromkeys(indices, one))
        return error

    async def _follow(
        self, version: ModelVersion, item: Item, index: int, future: asyncio.Future[_Computed | ItemError], param: str
    ) -> _Computed:
        """Take the vector that another request computes; when that request is gone, compute it."""
        await asyncio.wait([future])
        if future.cancelled():
            outcome = (await version.coalescer.submit([item]))[0]
            if outcome.error is not None:
                raise _item_error(index, outcome.error, 2, param)
            return _Computed(outcome.label, outcome.reply.vectors[outcome.row], outcome.reply.tokens[outcome.row])
        result = future.result()
        if isinstance(result, ItemError):
            raise _item_error(index, result, 2, param)
        return result


def _cached(info: ModelInfo, hash_: str, entry: Entry) -> _Computed:
    return _Computed(Label(info.label.model, hash_, entry.synthetic), entry.vector, entry.tokens)


def _item_error(index: int, error: ItemError, count: int, param: str) -> InputError:
    where = f"{param}[{index}]" if count > 1 else param
    kind = LimitError if error.limit else InputError
    return kind(f"{where}: {error.message}", param=where, code=error.code)


def _shortened(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    cut = vectors[:, :dimensions].astype(np.float64)
    unit: NDArray[np.float32] = (cut / np.linalg.norm(cut, axis=1, keepdims=True).clip(1e-12)).astype(np.float32)
    return unit

"""Requests are cancelled at every await of their way: nobody else's answer changes, nothing is left behind, caches fill.

The gateway, its connections and its shared cache are the real ones; replicas answer over sockets with numbers that only
the text and the artifact's hash decide.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from ray import serve

from deployments.config.gateway import GatewayConfig
from deployments.contract.call import Queued
from deployments.contract.embedding import Label
from deployments.contract.items import Item, ItemError
from deployments.contract.reply import EncodeReply, WrongArtifact
from deployments.gateway.embedding_service import EmbeddingService, EmbedRequest, EmbedResult
from deployments.gateway.model_registry import ModelRegistry
from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.rpc.server import HOST_VARIABLE
from deployments.serve_internals import replica_search
from models.errors import DeadlineError, InputError, UnavailableError
from tests.deployments.gateway.fleet import Encoder, Handle
from tests.servers.redis_server import redis_server

pytestmark = pytest.mark.timeout(280)
BAD = "bad"  # a text that cannot be embedded
HASHES = ("h", "other")
AT_ONCE = 100  # requests, so that none is refused for capacity
SURVIVORS_S = 60  # far above what any request here takes; a request that hangs fails its test


def vector(text: str, hash_: str) -> list[float]:
    return [float(zlib.crc32(text.encode()) % 65521), float(zlib.crc32(hash_.encode()) % 65521)]


class Replica(Encoder):
    """Takes a few turns of the loop for each call."""

    async def encode(self, items: list[Item], queued: Queued) -> EncodeReply | WrongArtifact:
        label = Label("m@1", self.hash)
        if queued.hash not in (None, label.hash):
            return WrongArtifact(label)
        for _ in range(random.randrange(4)):
            await asyncio.sleep(0)
        rows = [vector(str(item), label.hash) for item in items]
        errors = {row: ItemError("bad", "bad") for row, item in enumerate(items) if item == BAD}
        return EncodeReply(label, np.array(rows, np.float32), [1] * len(items), errors)


class CancelledAt:
    """Runs a request and cancels its task while it waits for the nth time, or some turns of the loop later."""

    def __init__(
        self,
        work: Coroutine[Any, Any, EmbedResult],
        step: int,
        turns: int = 0,
        instead: Callable[[], object] | None = None,  # of cancelling
    ) -> None:
        self._work, self._step, self._turns, self._instead = work, step, turns, instead
        self.steps = 0

    def __await__(self) -> Generator[Any, Any, EmbedResult]:
        task, steps = asyncio.current_task(), self._work.__await__()
        assert task is not None
        resume: Callable[[], Any] = lambda: steps.send(None)  # noqa: E731
        while True:
            try:
                waited_for = resume()
            except StopIteration as end:
                result: EmbedResult = end.value
                return result
            self.steps += 1
            if self.steps == self._step:
                _after(self._turns, self._instead or task.cancel)
            try:
                yield waited_for
                resume = lambda: steps.send(None)  # noqa: E731
            except BaseException as error:
                resume = lambda error=error: steps.throw(error)  # type: ignore[misc] # noqa: E731


def _after(turns: int, action: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    loop.call_soon(action if turns == 0 else lambda: _after(turns - 1, action))


class Gateway:
    """A gateway of one version."""

    def __init__(self, handle: Handle, *, shared: bool) -> None:
        cache = {"bytes": 10_000_000}
        if shared:
            cache["shared"] = {"url_env": "EMBEDSERVE_CACHE_URL", "timeout_ms": 1000}  # type: ignore[assignment]
        queue = {"call_cost": 6, "calls_per_replica": 1}
        registry = ModelRegistry()
        document = {"models": {"m": {"type": "text", "versions": {"1": 1}}}, "cache": cache, "queue": queue}
        registry.configure(GatewayConfig.model_validate(document))
        self.handle = handle
        self.version = registry.versions["m@1"]
        self.version.note_replicas(len(handle.replicas))
        self.embeddings = EmbeddingService(registry, GatewayMetrics())
        self.embeddings.cache.configure(registry.config.cache)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        calls = self.version._replicas.calls
        while not calls["connection"]:
            await self.version.refresh()
            await self.ask(f"warm {calls['serve']}")
        await self.quiet()

    def begin(self) -> None:
        """Take the tasks that there are for those that may stay; called in the test itself, whose own is one of them."""
        self._tasks = asyncio.all_tasks()

    def ask(self, *texts: str, **options: Any) -> Coroutine[Any, Any, EmbedResult]:
        return self.embeddings.embed(EmbedRequest("m", texts, **options))

    async def quiet(self) -> None:
        """Wait until nothing is under way, which fails the test by its time limit where something stays."""
        async with asyncio.timeout(SURVIVORS_S):
            while self.version.queue._under_way or self.version.flights._handed_over:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def nothing_is_left(self) -> None:
        await self.quiet()
        backlog = self.version.queue._backlog
        assert (backlog.items, backlog.cost, len(backlog.users), len(backlog.bulk)) == (0, 0, 0, 0)
        assert len(self.version.flights) == 0
        assert [one.under_way for one in self.version._replicas._connections._ready] == [0] * len(self.handle.replicas)
        async with asyncio.timeout(SURVIVORS_S):
            while left := asyncio.all_tasks() - self._tasks:
                await asyncio.wait(left)


def right(result: EmbedResult, texts: tuple[str, ...]) -> bool:
    return bool(result.vectors.tolist() == [vector(text, result.label.hash) for text in texts])


@pytest.fixture(params=[False, True], ids=["with memory alone", "with a shared cache"])
async def gateway(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    handle = Handle()
    handle.replicas = [Replica(0), Replica(1)]
    monkeypatch.setenv(HOST_VARIABLE, "127.0.0.1")
    monkeypatch.setattr(serve, "get_deployment_handle", lambda *_: handle)
    monkeypatch.setattr(replica_search, "LOOK_AGAIN_S", 0.01)
    with _server(request.param, monkeypatch):
        found = Gateway(handle, shared=request.param)
        await found.start()
        yield found
        if found.embeddings.cache.shared is not None:
            await found.embeddings.cache.shared.close()
        for replica in handle.replicas:
            await replica.server.close()


@contextmanager
def _server(wanted: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not wanted:
        yield
        return
    with redis_server() as running:
        monkeypatch.setenv("EMBEDSERVE_CACHE_URL", running.url)
        yield


async def test_what_is_removed_under_a_request_never_makes_it_a_defect(gateway: Gateway) -> None:
    """Its model, its version or its shadow, at any step: it is answered, or told that there is nothing of the name."""
    registry = gateway.embeddings.registry
    before = registry.config

    def remove(what: str) -> None:
        document = before.model_dump(mode="json")
        others = {"other": {"type": "text", "versions": {"1": 1}}}
        versions = {"the version": {"2": 1}, "the shadow": {"1": 1}}
        document["models"] = others if what == "the model" else {"m": {"type": "text", "versions": versions[what]}}
        registry.configure(GatewayConfig.model_validate(document))

    for what in ("the model", "the version", "the shadow"):
        for step in range(1, 40):
            document = before.model_dump(mode="json")
            document["models"]["m"].update(versions={"1": 1, "2": 0}, shadow={"2": 100})
            registry.configure(GatewayConfig.model_validate(document))
            registry.versions["m@1"] = gateway.version
            registry.versions["m@2"].info = gateway.version.info
            texts = (f"{what} {step} a", f"{what} {step} b")
            asked = CancelledAt(gateway.ask(*texts), step, 0, lambda what=what: remove(what))  # type: ignore[misc]
            assert right(await asked, texts), (what, step)
            if asked.steps < step:
                break
        assert asked.steps < step


# Requests made in this order: they lead, join, do both, repeat a text, and one of them is not joinable.
REQUESTS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "leads a list": (("a", "b", "c", "d", "e", "f", "g", "h"), {}),
    "joins with one": (("h",), {}),
    "joins some and leads others": (("b", "x", "c", "y", "b"), {}),
    "leads one": (("z",), {}),
    "is bulk": (("a", "z", "bulk"), {"bulk": True}),
    "joins all of them": (("z", "y", "h", "a"), {}),
}


@pytest.mark.parametrize("victim", REQUESTS)
async def test_whoever_is_cancelled_at_any_step_takes_nothing_from_the_others(gateway: Gateway, victim: str) -> None:
    """Step by step until the victim is through before its cancellation would come."""
    gateway.begin()
    reached, cancelled = 0, CancelledAt(gateway.ask("warm 0"), 0)
    await cancelled
    for step in range(1, 40):
        for turns in range(3):
            tasks: dict[str, tuple[tuple[str, ...], asyncio.Task[EmbedResult]]] = {}
            for name, (letters, options) in REQUESTS.items():
                texts = tuple(f"{step} {turns} {letter}" for letter in letters)
                work = gateway.ask(*texts, **options)
                if name == victim:
                    cancelled = CancelledAt(work, step, turns)
                    work = _run(cancelled)
                tasks[name] = texts, asyncio.ensure_future(work)
                if name == "joins with one":  # the first ones have begun to compute when the others come
                    await asyncio.sleep(0)
            async with asyncio.timeout(SURVIVORS_S):
                await asyncio.wait([task for _, task in tasks.values()])
            if tasks[victim][1].cancelled():
                reached = step
            for name, (texts, task) in tasks.items():
                assert (name == victim and task.cancelled()) or right(task.result(), texts), (name, step, turns)
            await gateway.nothing_is_left()
            wanted = {text for name, (texts, _) in tasks.items() if name != victim for text in texts}
            for text in wanted:
                assert (await gateway.ask(text)).cache == "hit"
        if cancelled.steps < step:
            break
    assert reached
    assert cancelled.steps < step


async def _run(work: CancelledAt) -> EmbedResult:
    return await work


async def in_disorder(gateway: Gateway, seed: int, requests: int) -> int:
    """Requests that overlap, many of which are cancelled, late, bulk or wrong, while replicas swap; how many were answered."""
    chance = random.Random(seed)
    answered = 0

    async def one(number: int) -> None:
        nonlocal answered
        texts = tuple(
            chance.choice([f"{seed} {number // 8} {chance.randrange(12)}"] * 30 + [BAD])
            for _ in range(chance.choice([1, 1, 2, 5, 17]))
        )
        options: dict[str, Any] = {"bulk": chance.random() < 0.1}
        if chance.random() < 0.2:
            options["timeout_s"] = chance.choice([1e-6, 0.001, 0.003])
        work = gateway.ask(*texts, **options)
        if chance.random() < 0.4:
            work = _run(CancelledAt(work, chance.randrange(1, 5), chance.randrange(6)))
        task = asyncio.ensure_future(work)
        async with asyncio.timeout(SURVIVORS_S):
            await asyncio.wait([task])
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, InputError):
            assert error.param == ("input" if len(texts) == 1 else f"input[{texts.index(BAD)}]")
        elif error is None:
            assert right(task.result(), texts)
            answered += 1
        elif isinstance(error, UnavailableError):  # replicas swap here within milliseconds of each other
            assert "is being swapped" in str(error), repr(error)
        else:
            assert isinstance(error, DeadlineError), repr(error)
            assert "timeout_s" in options, repr(error)

    gateway.begin()
    places = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as group:
        for number in range(requests):
            await places.acquire()
            group.create_task(one(number)).add_done_callback(lambda _: places.release())
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            if chance.random() < 0.02:
                chance.choice(gateway.handle.replicas).hash = chance.choice(HASHES)
            if chance.random() < 0.02:
                await gateway.version.refresh()
    await gateway.nothing_is_left()
    return answered


@pytest.mark.parametrize("requests", [400, pytest.param(40_000, marks=pytest.mark.slow)], ids=["few", "many"])
async def test_requests_cancelled_in_any_order_take_nothing_from_the_others(gateway: Gateway, requests: int) -> None:
    assert await in_disorder(gateway, random.randrange(2**32), requests) > requests / 4
    for replica in gateway.handle.replicas:
        replica.hash = "h"
    await gateway.version.refresh()
    assert right(await gateway.ask("and then"), ("and then",))

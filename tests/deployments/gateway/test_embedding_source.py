"""Vectors from memory, from other requests and from the queue; the encoder is a function that counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from deployments.config.cache import Cache
from deployments.config.limits import Limits
from deployments.config.queue import Queue
from deployments.contract.embedding import Label
from deployments.contract.items import Item, ItemError
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply
from deployments.gateway.cache.tiered import TieredCache
from deployments.gateway.embedding_source import EmbeddingSource
from deployments.gateway.model_version import ModelVersion
from deployments.observability.gateway_metrics import GatewayMetrics
from models.errors import InputError, UnavailableError


class Gateway:
    """Asks an encoder whose artifact may change; vectors are the length of the artifact's hash."""

    def __init__(self) -> None:
        self.hash: Callable[[], str] = lambda: "a"
        self.known = "a"  # what the gateway believes to be served
        self.calls: list[list[Item]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.version = ModelVersion("m", "1", "text")
        self.version.queue._send = self.encode
        cache = TieredCache(GatewayMetrics())
        cache.configure(Cache(bytes=100_000))
        self.source = EmbeddingSource(cache)

    async def encode(self, items: list[Item], _: int) -> EncodeReply:
        self.calls.append(items)
        await self.open.wait()
        label = Label("m@1", self.hash())
        errors = {row: ItemError("bad", "bad") for row, item in enumerate(items) if item == "bad"}
        return EncodeReply(label, np.full((len(items), 2), len(label.hash), np.float32), [1] * len(items), errors)

    async def find(self, *items: Item, bulk: bool = False) -> tuple[str, list[float], int]:
        """The hash and the first components of the vectors, and how many were cached."""
        info = ModelInfo(Label("m@1", self.known), "m", "text", 2, "fp32", "CPU")
        found, cached = await self.source.find(self.version, info, list(items), Limits(), param="input", bulk=bulk)
        (hash_,) = {one.label.hash for one in found}
        return hash_, [float(one.vector[0]) for one in found], cached

    def ask(self, *items: Item, bulk: bool = False) -> asyncio.Task[tuple[str, list[float], int]]:
        return asyncio.ensure_future(self.find(*items, bulk=bulk))


async def called(gateway: Gateway, times: int) -> None:
    async with asyncio.timeout(10):
        while len(gateway.calls) < times:  # noqa: ASYNC110 - a few turns of this loop
            await asyncio.sleep(0)


async def test_a_list_torn_by_a_swap_is_completed_under_the_newer_artifact() -> None:
    gateway = Gateway()
    await gateway.find("old")
    gateway.hash = lambda: "bb"
    assert await gateway.find("old", "new") == ("bb", [2, 2], 1)
    assert gateway.calls == [["old"], ["new"], ["old"]]


async def test_what_a_newer_artifact_computed_is_cached_as_its_own() -> None:
    gateway = Gateway()
    gateway.hash = lambda: "bb"
    assert await gateway.find("text") == ("bb", [2], 0)
    gateway.known = "bb"
    assert await gateway.find("text") == ("bb", [2], 1)
    gateway.known, gateway.hash = "a", lambda: "a"
    assert await gateway.find("text") == ("a", [1], 0)


async def test_a_list_that_is_torn_again_and_again_is_given_up() -> None:
    gateway = Gateway()
    gateway.version.configure(Queue(call_cost=1), may_sleep=False)
    hashes = (f"hash {number}" for number in range(1000))
    gateway.hash = lambda: next(hashes)  # another for every call, and every item is a call
    with pytest.raises(UnavailableError, match="m@1 is being swapped"):
        await gateway.find("first", "second")


async def test_equal_texts_of_a_list_and_of_other_requests_are_computed_once() -> None:
    gateway = Gateway()
    gateway.open.clear()
    first = gateway.ask("text", "text")
    await called(gateway, 1)
    second = gateway.ask("text")
    gateway.open.set()
    assert await first == ("a", [1, 1], 0)
    assert await second == ("a", [1], 0)
    assert gateway.calls == [["text"]]


async def test_a_user_never_waits_for_bulk() -> None:
    gateway = Gateway()
    gateway.open.clear()
    bulk = gateway.ask("text", bulk=True)
    await called(gateway, 1)
    user = gateway.ask("text")
    await called(gateway, 2)
    gateway.open.set()
    assert await bulk == await user == ("a", [1], 0)


@pytest.mark.parametrize(
    ("items", "param"), [(["bad"], "input"), (["good", "bad", "bad"], "input[1]")], ids=["alone", "in a list"]
)
async def test_the_first_item_that_fails_is_named_to_everybody_who_asked_for_it(items: list[Item], param: str) -> None:
    gateway = Gateway()
    gateway.open.clear()
    leader = gateway.ask(*items)
    await called(gateway, 1)
    follower = gateway.ask(*items)
    await asyncio.sleep(0)
    gateway.open.set()
    for task in (leader, follower):
        with pytest.raises(InputError, match="bad") as caught:
            await task
        assert caught.value.param == param
    assert len(gateway.calls) == 1

"""Vectors from memory, from other requests and from the queue; the encoder is a function that counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from deployments.config.cache import Cache
from deployments.config.limits import Limits
from deployments.config.queue import Queue
from deployments.contract.embedding import Label
from deployments.contract.items import Item, ItemError
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply
from deployments.gateway.batch import Batch
from deployments.gateway.cache.tiered import TieredCache
from deployments.gateway.embedding_source import EmbeddingSource
from deployments.gateway.model_version import ModelVersion
from deployments.gateway.turns import Turns
from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.rpc.connection import ArtifactGoneError
from models.errors import InputError, UnavailableError


class Gateway:
    """Asks an encoder whose artifact may change; vectors are the length of the artifact's hash."""

    def __init__(self) -> None:
        self.hash: Callable[[], str] = lambda: "a"  # of the artifact that the replica called has, where calls name none
        self.has: Sequence[str] | None = (
            None  # hashes of which some replica has the artifact; None: calls' names are ignored
        )
        self.known = "a"  # what the gateway believes to be served
        self.batch_dependent = False
        self.calls: list[list[Item]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.version = ModelVersion("m", "1", "text")
        self.version.queue._send = self.encode
        cache = TieredCache(GatewayMetrics())
        cache.configure(Cache(bytes=100_000))
        self.source = EmbeddingSource(cache, Turns())

    async def encode(self, batch: Batch) -> EncodeReply:
        items, wanted = batch.items, batch.hash
        self.calls.append(items)
        await self.open.wait()
        if self.has is not None and wanted not in self.has:
            raise ArtifactGoneError(Label("m@1", self.has[0]))
        hash_ = self.hash() if self.has is None else wanted or self.has[0]
        label = Label("m@1", hash_, batch_dependent=self.batch_dependent)
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
    async with asyncio.timeout(60):
        while len(gateway.calls) < times:  # noqa: ASYNC110 - a few turns of this loop
            await asyncio.sleep(0)


async def test_a_vector_that_depends_on_its_company_is_never_cached() -> None:
    gateway = Gateway()
    gateway.batch_dependent = True
    for _ in range(3):
        assert await gateway.find("text") == ("a", [1], 0)
    assert gateway.calls == [["text"]] * 3


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


async def of_classes(gateway: Gateway, *items: str, mixed: bool) -> tuple[list[str], int]:
    """The numerics class of each vector, where the gateway knows class x and replicas of x and y take turns."""
    info = ModelInfo(Label("m@1", "a", numerics="x"), "m", "text", 2, "fp32", "CPU", mixed=mixed)
    found, cached = await gateway.source.find(gateway.version, info, list(items), Limits(), param="input", bulk=False)
    return [one.label.numerics for one in found], cached


def taking_turns(gateway: Gateway, *, heed: bool) -> list[str | None]:
    """Replicas of two classes with one artifact; returns what calls come to name."""
    named: list[str | None] = []

    async def encode(batch: Batch) -> EncodeReply:
        items, wanted = batch.items, batch.hash
        label = Label("m@1", "a", numerics="xy"[len(named) % 2])
        named.append(wanted)
        if heed and not label.answers(wanted):
            label = Label("m@1", "a", numerics="x")  # the next replica is asked
        return EncodeReply(label, np.full((len(items), 2), ord(label.numerics), np.float32), [1] * len(items))

    gateway.version.queue._send = encode
    gateway.version.configure(Queue(call_cost=1), may_sleep=False)
    return named


async def test_calls_name_the_numerics_class_so_that_an_answer_holds_one() -> None:
    gateway = Gateway()
    named = taking_turns(gateway, heed=True)
    assert await of_classes(gateway, "first", "second", mixed=False) == (["x", "x"], 0)
    assert set(named) == {"a x"}


async def test_vectors_of_two_classes_are_never_one_answer_unless_the_operator_allows_it() -> None:
    gateway = Gateway()
    taking_turns(gateway, heed=False)
    with pytest.raises(UnavailableError, match="try again"):
        await of_classes(gateway, "first", "second", mixed=False)


async def test_where_classes_may_mix_calls_name_the_artifact_alone_and_each_vector_its_own_class() -> None:
    gateway = Gateway()
    named = taking_turns(gateway, heed=True)
    assert await of_classes(gateway, "first", "second", mixed=True) == (["x", "y"], 0)
    assert set(named) == {"a"}


async def test_the_cache_keeps_the_classes_of_one_artifact_apart() -> None:
    gateway = Gateway()
    taking_turns(gateway, heed=True)
    await of_classes(gateway, "first", "second", mixed=True)
    assert await of_classes(gateway, "first", mixed=True) == (["x"], 1)
    classes, cached = await of_classes(gateway, "second", mixed=True)
    assert (classes, cached) == (["x"], 0), "what y computed is no hit where x is asked for"


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


async def test_lists_of_six_calls_come_back_from_one_artifact_while_replicas_have_different_ones() -> None:
    """Each call goes to some replica that has what it names, as the replicas' end sees to it."""
    gateway = Gateway()
    gateway.version.configure(Queue(call_cost=1), may_sleep=False)
    gateway.has = ["a", "bb"]
    for round_ in range(100):
        gateway.known = gateway.has[round_ % 2]
        answers = await asyncio.gather(*(gateway.find(*(f"{round_} {n} {i}" for i in range(6))) for n in range(3)))
        assert answers == [(gateway.known, [len(gateway.known)] * 6, 0)] * 3
    assert len(gateway.calls) == 1800


async def test_a_list_whose_artifact_goes_in_the_middle_is_computed_as_a_whole_by_the_one_there_is() -> None:
    gateway = Gateway()
    gateway.version.configure(Queue(call_cost=1, calls_per_replica=1), may_sleep=False)
    gateway.has = ["a"]
    await gateway.find("known")
    gateway.open.clear()
    lists = [gateway.ask("known", *(f"{n} {i}" for i in range(6))) for n in range(3)]
    single = gateway.ask("0 3")
    await called(gateway, 2)
    gateway.has = ["bb"]
    gateway.open.set()
    assert [await one for one in lists] == [("bb", [2] * 7, 0)] * 3
    assert await single == ("bb", [2], 0)
    assert gateway.version.queue.waiting_items == len(gateway.version.flights) == 0


async def test_requests_that_name_different_artifacts_never_share_a_call() -> None:
    gateway = Gateway()
    gateway.version.configure(Queue(calls_per_replica=1), may_sleep=False)
    gateway.has = ["a", "bb"]
    gateway.open.clear()
    first = gateway.ask("first")
    await called(gateway, 1)
    waiting = []
    for number in range(20):
        gateway.known = gateway.has[number % 2]
        waiting.append(gateway.ask(f"{number}"))
        await asyncio.sleep(0)
    gateway.open.set()
    await first
    assert [await one for one in waiting] == [(gateway.has[n % 2], [n % 2 + 1], 0) for n in range(20)]
    assert len(gateway.calls) == 3


async def test_what_a_request_that_is_gone_had_under_way_is_cached_and_answers_those_who_joined_it() -> None:
    gateway = Gateway()
    gateway.open.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await gateway.find("text", "other")
    leader = gateway.ask("more")
    await called(gateway, 1)
    joiners = [gateway.ask("text") for _ in range(200)]
    await asyncio.sleep(0)
    leader.cancel()
    gateway.open.set()
    assert [await joiner for joiner in joiners] == [("a", [1], 0)] * 200
    assert gateway.calls[0] == ["text", "other"]
    assert await gateway.find("text", "other") == ("a", [1, 1], 2)
    assert sum(call.count("text") for call in gateway.calls) == 1


async def test_what_waits_keeps_its_place_for_those_who_joined_a_request_that_is_gone() -> None:
    gateway = Gateway()
    gateway.version.configure(Queue(call_cost=1, calls_per_replica=1), may_sleep=False)
    gateway.open.clear()
    first = gateway.ask("first")
    await called(gateway, 1)
    leader = gateway.ask("gone", "joined", "gone too")
    await asyncio.sleep(0)
    behind = gateway.ask("behind", "further behind")
    await asyncio.sleep(0)
    joiner = gateway.ask("joined")
    await asyncio.sleep(0)
    leader.cancel()
    await asyncio.wait([leader])
    assert gateway.version.queue.waiting_items == 3
    gateway.open.set()
    await asyncio.gather(first, behind, joiner)
    assert gateway.calls == [["first"], ["joined"], ["behind"], ["further behind"]]


async def test_another_version_with_the_same_artifact_does_not_share_the_fate_of_this_one() -> None:
    gateway, other = Gateway(), ModelVersion("m", "2", "text")

    async def lost(*_: object) -> EncodeReply:
        await gateway.open.wait()
        raise UnavailableError("m@2 lost its replicas")

    other.queue._send = lost
    gateway.open.clear()
    info = ModelInfo(Label("m@2", "a"), "m", "text", 2, "fp32", "CPU")
    failing = asyncio.ensure_future(gateway.source.find(other, info, ["text"], Limits(), param="input", bulk=False))
    await asyncio.sleep(0)
    working = gateway.ask("text")
    await called(gateway, 1)
    gateway.open.set()
    assert await working == ("a", [1], 0)
    with pytest.raises(UnavailableError):
        await failing


@pytest.mark.parametrize(
    ("led", "followed", "params"),
    [
        (["bad"], ["bad"], ("input", "input")),
        (["good", "bad", "bad"], ["good", "bad"], ("input[1]", "input[1]")),
        (["bad"], ["good", "bad"], ("input", "input[1]")),
        (["good", "bad"], ["bad"], ("input[1]", "input")),
        (["bad", "bad"], ["bad"], ("input[0]", "input")),
    ],
    ids=["both alone", "both in lists", "a list joins one alone", "one alone joins a list", "one joins a pair"],
)
async def test_everybody_who_asked_for_an_item_that_fails_is_told_where_it_stands_in_its_own_request(
    led: list[Item], followed: list[Item], params: tuple[str, str]
) -> None:
    gateway = Gateway()
    gateway.open.clear()
    leader = gateway.ask(*led)
    await called(gateway, 1)
    follower = gateway.ask(*followed)
    await asyncio.sleep(0)
    gateway.open.set()
    for task, param in zip((leader, follower), params, strict=True):
        with pytest.raises(InputError, match="bad") as caught:
            await task
        assert caught.value.param == param
        assert str(caught.value).startswith(f"{param}: ")

"""Calls to the replicas of a version: real encoders' ends on sockets, found through a stand-in for Serve's handle."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from ray import serve
from ray.serve.exceptions import RayServeException

from deployments.config.internals import Internals
from deployments.contract.call import Queued
from deployments.contract.embedding import Label
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply
from deployments.gateway import replicas as replicas_module
from deployments.gateway.batch import Batch
from deployments.gateway.queue_settings import QueueSettings
from deployments.gateway.replicas import LOST_ATTEMPTS, NotDeployedError, Replicas
from deployments.gateway.request_queue import RequestQueue
from deployments.gateway.unjoined import submit
from deployments.rpc.connection import ArtifactGoneError
from deployments.rpc.server import HOST_VARIABLE
from deployments.serve_internals import replica_search
from deployments.serve_internals.seams import SEAMS
from models.errors import EngineError, EngineTimeoutError, UnavailableError
from tests.deployments.gateway.fleet import Encoder, Handle

pytestmark = pytest.mark.timeout(150)
QUEUED = Queued("gateway", 1, 0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(HOST_VARIABLE, "127.0.0.1")
    monkeypatch.setattr(replica_search, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(replica_search, "LOOK_AGAIN_S", 0.01)
    yield
    SEAMS.configure(Internals())


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch) -> Handle:
    found = Handle()
    found.replicas = [Encoder(0), Encoder(1)]
    monkeypatch.setattr(serve, "get_deployment_handle", lambda *_: found)
    return found


@pytest.fixture
async def version(handle: Handle) -> AsyncIterator[Replicas]:
    """Its calls go over connections."""
    found = Replicas("m@1", "m--1", "TextEncoder")
    await until(found, lambda: found.calls["connection"] > 0)
    handle.asked = 0
    yield found
    for replica in handle.replicas:
        await replica.server.close()


async def until(version: Replicas, holds: Callable[[], bool]) -> None:
    """Go on calling and asking, as a gateway does, until something holds."""
    while not holds():
        await version.encode(["a"], QUEUED)
        await version.describe(10)
        await asyncio.sleep(0.005)


async def answering(version: Replicas, calls: int = 20, hash_: str | None = None) -> set[int]:
    """Which replicas answer calls that are made together."""
    queued = Queued("gateway", 1, 0, hash=hash_)
    replies = await asyncio.gather(*(version.encode(["a"], queued) for _ in range(calls)))
    return {int(reply.vectors[0, 0]) for reply in replies}


async def test_calls_go_through_serve_until_every_replica_is_connected(handle: Handle) -> None:
    version = Replicas("m@1", "m--1", "TextEncoder")
    await version.encode(["a"], QUEUED)
    assert (version.calls["serve"], version.calls["connection"], handle.asked) == (1, 0, 1)
    await until(version, lambda: version.calls["connection"] > 0)
    assert await answering(version) == {0, 1}


async def test_connected_replicas_are_asked_and_called_past_serve(version: Replicas, handle: Handle) -> None:
    names = {(await version.describe(10)).name for _ in range(40)}
    assert names == {"replica 0", "replica 1"}
    await answering(version)
    assert handle.asked == 0


async def test_a_new_replica_takes_part_and_one_that_left_does_not(version: Replicas, handle: Handle) -> None:
    handle.replicas = [handle.replicas[1], Encoder(2)]
    answers: set[int] = set()
    while 2 not in answers or 0 in answers:
        answers = await answering(version)
        await version.describe(10)
        await asyncio.sleep(0.005)
    assert answers == {1, 2}


async def test_the_last_replicas_are_called_while_they_load_another_artifact(version: Replicas, handle: Handle) -> None:
    """Serve then knows of none that may be called."""
    handle.callable = []
    for _ in range(20):
        assert await answering(version) == {0, 1}
        await version.describe(10)
        await asyncio.sleep(0.005)
    assert handle.asked == 0


async def test_a_replica_that_does_not_say_where_it_is_keeps_no_other_from_being_found(handle: Handle) -> None:
    handle.silent = [handle.replicas[0]]
    version = Replicas("m@1", "m--1", "TextEncoder")
    await until(version, lambda: version.calls["connection"] > 0)
    assert await answering(version) == {1}


async def test_a_call_to_a_replica_that_refuses_goes_to_another(version: Replicas, handle: Handle) -> None:
    handle.replicas[0].broken = UnavailableError("the engine hangs")
    for _ in range(10):
        assert await answering(version, 1) == {1}


async def test_a_call_that_a_replica_fails_goes_to_another_however_busy_that_is(
    version: Replicas, handle: Handle
) -> None:
    """One that fails at once always has the fewest calls."""
    failing, busy = handle.replicas
    failing.broken, busy.held = EngineError("the card fails"), "held"
    busy.calls = []
    held = [asyncio.ensure_future(version.encode(["held"], QUEUED)) for _ in range(3)]
    async with asyncio.timeout(60):
        while len(busy.calls) < len(held):  # noqa: ASYNC110 - a socket's other end has no event to wait for
            await asyncio.sleep(0.001)
    for _ in range(10):
        assert await answering(version, 1) == {1}
    busy.gate.set()
    await asyncio.gather(*held)


async def test_a_dead_replica_is_asked_through_serve(version: Replicas, handle: Handle) -> None:
    for replica in handle.replicas:
        await replica.server.close()
    assert (await version.describe(10)).name == "replica 0"
    assert await answering(version) == {0}
    assert handle.asked > 0


async def test_switched_off_everything_goes_through_serve_and_on_again_past_it(
    version: Replicas, handle: Handle
) -> None:
    SEAMS.configure(Internals(connections=False))
    version.calls.clear()
    await answering(version)
    await version.describe(10)
    assert version.calls == {"serve": 20}
    assert handle.asked == 21
    SEAMS.configure(Internals())
    await until(version, lambda: version.calls["connection"] > 0)


async def test_a_version_without_an_application_is_not_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(deployment: str, application: str) -> None:
        raise RayServeException("no such application")

    monkeypatch.setattr(serve, "get_deployment_handle", missing)
    version = Replicas("m@1", "m--1", "TextEncoder")
    with pytest.raises(NotDeployedError, match="m@1 is not deployed"):
        await version.describe(10)
    with pytest.raises(UnavailableError):
        await version.encode(["a"], QUEUED)


async def test_nobody_waits_for_serves_controller_but_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says whether a version is deployed, and may be about to be started anew itself."""
    others = threading.Event()

    def slow(deployment: str, application: str) -> None:
        if not others.wait(20):
            pytest.fail("the event loop stood still")
        raise RayServeException("no such application")

    monkeypatch.setattr(serve, "get_deployment_handle", slow)
    asking = asyncio.ensure_future(Replicas("m@1", "m--1", "TextEncoder").describe(10))
    asyncio.get_running_loop().call_later(0.01, others.set)
    with pytest.raises(NotDeployedError):
        await asking


@pytest.fixture
async def fleet(handle: Handle) -> AsyncIterator[Replicas]:
    """Five replicas of one artifact, all connected."""
    handle.replicas = [Encoder(number) for number in range(5)]
    found = Replicas("m@1", "m--1", "TextEncoder")
    await until(found, lambda: found.calls["connection"] > 20)
    yield found
    for replica in handle.replicas:
        await replica.server.close()


async def test_a_call_reaches_the_replicas_that_have_the_artifact_it_names(fleet: Replicas, handle: Handle) -> None:
    for replica in handle.replicas[:2]:
        replica.hash = "other"
    for _ in range(20):
        assert await answering(fleet, hash_="h") == {2, 3, 4}
        assert await answering(fleet, hash_="other") == {0, 1}
    assert sum(replica.refused for replica in handle.replicas) <= 40  # asked in vain only until it was known


async def test_a_call_that_names_what_no_replica_has_any_more_is_told_what_there_is(
    fleet: Replicas, handle: Handle
) -> None:
    for replica in handle.replicas:
        replica.hash = "new"
    for _ in range(3):
        with pytest.raises(ArtifactGoneError) as caught:
            await fleet.encode(["a"], Queued("gateway", 1, 0, hash="h"))
        assert caught.value.label == Label("m@1", "new")
    assert sum(replica.refused for replica in handle.replicas) <= replicas_module.CALL_ATTEMPTS


async def test_a_call_that_names_an_artifact_goes_to_another_replica_through_serve_too(handle: Handle) -> None:
    SEAMS.configure(Internals(connections=False))
    version = Replicas("m@1", "m--1", "TextEncoder")
    handle.takes_turns = True
    handle.replicas[1].hash = "other"
    for _ in range(10):
        assert await answering(version, 4, "h") == {0}
        assert await answering(version, 4, "other") == {1}
    with pytest.raises(ArtifactGoneError):
        await version.encode(["a"], Queued("gateway", 1, 0, hash="gone"))


async def test_where_all_that_have_an_artifact_fail_the_call_is_told_of_another(
    fleet: Replicas, handle: Handle
) -> None:
    for replica in handle.replicas[:2]:
        replica.hash = "other"
    await described(fleet)
    assert await answering(fleet, hash_="other") == {0, 1}
    for replica in handle.replicas[:2]:
        replica.broken = UnavailableError("the engine hangs")
    with pytest.raises(ArtifactGoneError) as caught:
        await fleet.encode(["a"], Queued("gateway", 1, 0, hash="other"))
    assert caught.value.label.hash == "h"


async def described(version: Replicas, rounds: int = 40) -> list[ModelInfo]:
    """What a gateway hears of a version in its rounds, once it has asked every replica."""
    for _ in range(10):
        await version.describe(10)
        await asyncio.sleep(0.005)
    return [await version.describe(10) for _ in range(rounds)]


async def test_while_replicas_disagree_the_version_has_what_most_of_them_have(fleet: Replicas, handle: Handle) -> None:
    for replica in handle.replicas[:2]:
        replica.hash = "new"
    assert {info.label.hash for info in await described(fleet)} == {"h"}
    handle.replicas[2].hash = "new"
    assert {info.label.hash for info in await described(fleet)} == {"new"}


@pytest.mark.parametrize("refuser", [0, 1])
async def test_of_two_halves_that_disagree_the_one_counts_that_took_the_swap_and_the_refusal_shows(
    version: Replicas, handle: Handle, refuser: int
) -> None:
    handle.replicas[1 - refuser].hash = "new"
    handle.replicas[refuser].swap_error = "damaged on this node"
    found = await described(version)
    assert {(info.label.hash, info.swap_error) for info in found} == {("new", "damaged on this node")}
    handle.replicas[refuser].hash, handle.replicas[refuser].swap_error = "new", None
    assert {(info.label.hash, info.swap_error) for info in await described(version)} == {("new", None)}


@pytest.mark.parametrize("dies", [False, True], ids=["fails", "dies"])
async def test_an_item_at_which_every_engine(version: Replicas, handle: Handle, dies: bool) -> None:
    """... leaves those alone that share its call, and costs three replicas and three more, not eight and eight."""
    for replica in handle.replicas:
        replica.fatal, replica.dies, replica.calls = "fatal", dies, []

    async def send(batch: Batch) -> EncodeReply:
        return await version.encode(batch.items, QUEUED)

    queue = RequestQueue(send, lambda _: 1, QueueSettings(call_cost=100, waiting_items=100))
    requests = [["a"], ["b", "c"], ["fatal"], ["d"]]
    outcomes = await asyncio.gather(*(submit(queue, items) for items in requests), return_exceptions=True)
    answered = [len(one) if isinstance(one, list) else type(one) for one in outcomes]
    assert answered == [1, 2, EngineError, 1]
    calls = [items for replica in handle.replicas for items in replica.calls]
    assert sum("fatal" in items for items in calls) == 2 * LOST_ATTEMPTS


@pytest.mark.parametrize("through_serve", [False, True], ids=["over connections", "through Serve"])
async def test_an_item_at_which_engines_hang_is_tried_once_in_company_and_once_alone(
    version: Replicas, handle: Handle, through_serve: bool
) -> None:
    """... while all that share its call are answered. Each try takes a replica."""
    SEAMS.configure(Internals(connections=not through_serve))
    for replica in handle.replicas:
        replica.endless, replica.calls, replica.in_company = "endless", [], []

    async def send(batch: Batch) -> EncodeReply:
        return await version.encode(batch.items, Queued("gateway", batch.cost, 0, alone=batch.alone))

    queue = RequestQueue(send, lambda _: 1, QueueSettings(call_cost=100, waiting_items=100))
    requests = [["a"], ["b", "endless", "c"], ["d"]]
    outcomes = await asyncio.gather(*(submit(queue, items) for items in requests))
    found = [[getattr(one, "code", "embedded") for one in outcome] for outcome in outcomes]
    assert found == [["embedded"], ["embedded", "too_slow", "embedded"], ["embedded"]]
    calls = [items for replica in handle.replicas for items in replica.calls]
    assert sorted(len(items) for items in calls if "endless" in items) == [1, 5]
    assert sum(replica.in_company.count("endless") for replica in handle.replicas) == 1


async def test_what_an_engine_hangs_at_alone_is_tried_nowhere_else(version: Replicas, handle: Handle) -> None:
    """An encoder of an earlier release does not say which input it was."""
    for replica in handle.replicas:
        replica.broken = EngineTimeoutError("the engine did not answer within 20 s")

    async def send(batch: Batch) -> EncodeReply:
        asked.append(batch.alone)
        return await version.encode(batch.items, Queued("gateway", batch.cost, 0, alone=batch.alone))

    asked: list[bool] = []
    queue = RequestQueue(send, lambda _: 1, QueueSettings(call_cost=100, waiting_items=100))
    with pytest.raises(EngineTimeoutError):
        await submit(queue, ["a"])
    assert asked == [False, True]

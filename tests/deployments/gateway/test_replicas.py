"""Calls to the replicas of a version: real encoders' ends on sockets, found through a stand-in for Serve's handle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import pytest
from ray import serve
from ray.serve.exceptions import DeploymentUnavailableError, RayServeException

from deployments.config.internals import Internals
from deployments.contract.call import Queued
from deployments.contract.embedding import Label
from deployments.contract.items import Item
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply
from deployments.gateway import replicas as replicas_module
from deployments.gateway.replicas import NotDeployedError, Replicas
from deployments.rpc.server import HOST_VARIABLE, Server
from deployments.serve_internals.seams import SEAMS
from models.errors import UnavailableError

pytestmark = pytest.mark.timeout(30)
QUEUED = Queued("gateway", 1, 0)


class Encoder:
    """A replica: answers with its own number, over a socket and through Serve."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.server = Server(self.encode, self.describe)
        self.broken: Exception | None = None

    async def encode(self, items: list[Item], _: Queued) -> EncodeReply:
        if self.broken is not None:
            raise self.broken
        return EncodeReply(Label("m@1", "h"), np.full((len(items), 2), self.number, np.float32), [1] * len(items))

    async def describe(self, _: float) -> ModelInfo:
        return ModelInfo(Label("m@1", "h"), f"replica {self.number}", "text", 2, "fp32", "cpu")


class Handle:
    """What this code uses of Serve's handle: one call to any replica, and one to each that Serve may call."""

    def __init__(self) -> None:
        self.replicas: list[Encoder] = []
        self.callable: list[Encoder] | None = None  # those that are not reconfiguring; None: all
        self.silent: list[Encoder] = []  # that fail when asked where they are
        self.asked = 0

    def __getattr__(self, method: str) -> Any:
        return Method(self, method)

    def broadcast(self, method: str) -> Any:
        assert method == "endpoint"
        return Asked(self)


class Method:
    def __init__(self, handle: Handle, name: str) -> None:
        self._handle, self._name = handle, name

    async def remote(self, *arguments: Any) -> Any:
        self._handle.asked += 1
        return await getattr(self._handle.replicas[0], self._name)(*arguments)


class Asked:
    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def results_async(self, **options: Any) -> list[Any]:
        assert options.keys() == {"timeout_s", "return_exceptions"}
        found = self._handle.replicas if self._handle.callable is None else self._handle.callable
        if not found:
            raise DeploymentUnavailableError(None)  # type: ignore[arg-type]
        answers: list[Any] = []
        for replica in found:
            failed = replica in self._handle.silent
            answers.append(RuntimeError("a defect") if failed else (str(replica.number), await replica.server.start()))
        return answers


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(HOST_VARIABLE, "127.0.0.1")
    monkeypatch.setattr(replicas_module, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(replicas_module, "LOOK_AGAIN_S", 0.01)
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


async def answering(version: Replicas, calls: int = 20) -> set[int]:
    """Which replicas answer calls that are made together."""
    replies = await asyncio.gather(*(version.encode(["a"], QUEUED) for _ in range(calls)))
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

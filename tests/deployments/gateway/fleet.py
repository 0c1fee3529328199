"""Replicas of one version on sockets of their own, found through a stand-in for Serve's handle."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from ray.serve.exceptions import DeploymentUnavailableError

from deployments.contract.call import Queued
from deployments.contract.embedding import Label
from deployments.contract.items import Item, ItemError
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply, WrongArtifact
from deployments.rpc.encoding import EncodeServer
from models.errors import EngineError, EngineTimeoutError


class Encoder:
    """A replica: answers with its own number, over a socket and through Serve."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.server = EncodeServer(self.encode, self.describe)
        self.broken: Exception | None = None
        self.calls: list[list[Item]] = []
        self.fatal: Item | None = None  # an item at which its engine fails
        self.dies = False  # at that item
        self.endless: Item | None = None  # an item at which its engine hangs
        self.in_company: list[Item] = []  # of calls that may run with others
        self.held: Item | None = None  # an item at which it waits for the gate
        self.gate = asyncio.Event()
        self.hash = "h"
        self.swap_error: str | None = None
        self.refused = 0

    async def encode(self, items: list[Item], queued: Queued) -> EncodeReply | WrongArtifact:
        label = Label("m@1", self.hash)
        if queued.hash not in (None, self.hash):
            self.refused += 1
            return WrongArtifact(label)
        if self.broken is not None:
            raise self.broken
        self.calls.append(items)
        if self.held in items:
            await self.gate.wait()
        if self.fatal in items:
            for connection in self.server._connections if self.dies else ():
                connection.close()
            raise EngineError("the engine failed")
        if not queued.alone:
            self.in_company += items
        if self.endless in items:
            if len(items) > 1 or not queued.alone:
                raise EngineTimeoutError("the engine did not answer within 0 s")
            return EncodeReply(label, np.zeros((1, 2), np.float32), [1], {0: ItemError("too slow", "too_slow", True)})
        return EncodeReply(label, np.full((len(items), 2), self.number, np.float32), [1] * len(items))

    async def describe(self, _: float) -> ModelInfo:
        label = Label("m@1", self.hash)
        return ModelInfo(label, f"replica {self.number}", "text", 2, "fp32", "cpu", swap_error=self.swap_error)


class Handle:
    """What this code uses of Serve's handle: one call to any replica, and one to each that Serve may call."""

    def __init__(self) -> None:
        self.replicas: Sequence[Encoder] = []
        self.callable: list[Encoder] | None = None  # those that are not reconfiguring; None: all
        self.silent: list[Encoder] = []  # that fail when asked where they are
        self.asked = 0
        self.takes_turns = False  # otherwise it always calls the first replica

    def __getattr__(self, method: str) -> Any:
        return Method(self, method)

    def broadcast(self, method: str) -> Any:
        assert method == "endpoint"
        return Asked(self)


class Method:
    def __init__(self, handle: Handle, name: str) -> None:
        self._handle, self._name = handle, name

    async def remote(self, *arguments: Any) -> Any:
        replicas = self._handle.replicas
        self._handle.asked += 1
        chosen = replicas[self._handle.asked % len(replicas) if self._handle.takes_turns else 0]
        return await getattr(chosen, self._name)(*arguments)


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

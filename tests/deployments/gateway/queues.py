"""Queues whose calls a test answers when it wants to."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from deployments.contract.embedding import Label, Outcome
from deployments.contract.items import Item, ItemError
from deployments.contract.reply import EncodeReply
from deployments.gateway import unjoined
from deployments.gateway.batch import Batch
from deployments.gateway.queue_settings import QueueSettings
from deployments.gateway.request_queue import RequestQueue, Send

LABEL = Label("m@1", "h")


class Replica:
    """Answers calls when told to, and remembers them; tokens count the rows of a call."""

    def __init__(self) -> None:
        self.calls: list[list[Item]] = []
        self.costs: list[int] = []
        self.gate = asyncio.Event()
        self.called = asyncio.Semaphore(0)  # once for each call

    async def __call__(self, batch: Batch) -> EncodeReply:
        items = batch.items
        self.calls.append(items)
        self.costs.append(batch.cost)
        self.called.release()
        await self.gate.wait()
        errors = {i: ItemError("bad", "bad") for i, item in enumerate(items) if item == "bad"}
        return EncodeReply(LABEL, np.zeros((len(items), 2), np.float32), list(range(len(items))), errors)


def settings(**values: Any) -> QueueSettings:
    return QueueSettings(**{"call_cost": 100, "waiting_items": 10_000, **values})


def queue(send: Send, **values: Any) -> RequestQueue:
    """A queue whose items cost 1 each."""
    return RequestQueue(send, lambda _: 1, settings(**values))


def submit(requests: RequestQueue, items: list[Item], *, bulk: bool = False) -> asyncio.Task[list[Outcome]]:
    return asyncio.ensure_future(unjoined.submit(requests, items, bulk=bulk))


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)

"""What a failed call comes to: the request at fault fails, and nobody is left waiting."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from deployments.contract.embedding import Embedding
from deployments.contract.items import Item, ItemError
from deployments.contract.reply import EncodeReply
from deployments.gateway.batch import Batch
from models.errors import UnavailableError
from tests.deployments.gateway.queues import LABEL, Replica, queue, settled, submit


async def test_a_bad_item_leaves_its_neighbours_alone() -> None:
    replica = Replica()
    replica.gate.set()
    requests = queue(replica)
    good, bad = await asyncio.gather(submit(requests, ["a"]), submit(requests, ["bad", "b"]))
    assert isinstance(good[0], Embedding)
    assert [type(one) for one in bad] == [ItemError, Embedding]


async def test_a_failed_call_fails_its_requests_and_not_the_queue() -> None:
    calls = 0

    async def send(batch: Batch) -> EncodeReply:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise UnavailableError("gone")
        return EncodeReply(LABEL, np.zeros((len(batch.rows), 2), np.float32), [1] * len(batch.rows))

    requests = queue(send)
    with pytest.raises(UnavailableError):
        await submit(requests, ["a"])
    assert len(await submit(requests, ["b"])) == 1


async def test_of_the_requests_in_a_call_that_fails_only_the_one_at_fault_fails() -> None:
    calls: list[list[Item]] = []

    async def send(batch: Batch) -> EncodeReply:
        items = batch.items
        calls.append(items)
        await asyncio.sleep(0)
        if "poison" in items:
            raise ValueError("a defect")
        return EncodeReply(LABEL, np.zeros((len(items), 2), np.float32), [1] * len(items))

    requests = queue(send, max_calls=2)
    good = [submit(requests, [f"{n} {i}" for i in range(20)]) for n in range(3)]
    bad = submit(requests, ["poison", "beside it"])
    gone = submit(requests, ["gone"])
    await settled()
    gone.cancel()
    assert [len(await one) for one in good] == [20] * 3
    with pytest.raises(ValueError, match="a defect"):
        await bad
    await settled()
    assert sum(call.count("poison") for call in calls) == 2
    assert max(len(call) for call in calls[1:]) == 20
    assert requests.waiting_items == requests.waiting_cost == 0


async def test_a_call_that_is_cancelled_beneath_the_queue_leaves_nobody_waiting() -> None:
    """Serve cancels calls that it made for a request whose client is gone."""
    inner: list[asyncio.Future[EncodeReply]] = []

    async def send(_: Batch) -> EncodeReply:
        inner.append(asyncio.get_running_loop().create_future())
        return await inner[-1]

    requests = queue(send)
    tasks = [submit(requests, [f"{n}"]) for n in range(3)]
    await settled()
    inner[0].cancel()
    for task in tasks:
        with pytest.raises(UnavailableError, match="given up"):
            await asyncio.wait_for(task, 60)
    later = submit(requests, ["later"])
    await settled()
    assert len(inner) == 2
    later.cancel()


async def test_a_reply_with_too_few_rows_fails_its_requests_and_keeps_nobody_waiting() -> None:
    async def send(batch: Batch) -> EncodeReply:
        items = batch.items
        return EncodeReply(LABEL, np.zeros((len(items) - 1, 2), np.float32), [1] * (len(items) - 1))

    with pytest.raises(IndexError):
        await asyncio.wait_for(submit(queue(send), ["a", "b"]), 60)

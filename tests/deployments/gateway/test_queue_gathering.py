"""Requests beside a call under way gather until they are worth one of their own."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from deployments.contract.reply import EncodeReply
from deployments.gateway.batch import Batch
from deployments.gateway.request_queue import RequestQueue
from tests.deployments.gateway.queues import LABEL, Replica, queue, settings, settled, submit


@pytest.mark.parametrize(
    ("waiting", "under_way", "replicas", "waited_s", "leaves"),
    [
        pytest.param(1, [], 1, 0.0, True, id="an idle replica is waiting"),
        pytest.param(1, [64], 2, 0.0, True, id="one of two replicas is idle"),
        pytest.param(1, [64], 1, 0.0, False, id="little beside much gathers on"),
        pytest.param(64, [64], 1, 0.0, True, id="as much is worth a call"),
        pytest.param(63, [64, 2], 2, 0.0, False, id="the largest call counts"),
        pytest.param(100, [200], 1, 0.0, True, id="a full call leaves beside one that grew in a crowd"),
        pytest.param(99, [200], 1, 0.0, False, id="less than a full call does not"),
        pytest.param(1, [1], 1, 0.0, True, id="one beside one leaves"),
        pytest.param(1, [64], 1, 0.01, True, id="it has waited long enough"),
    ],
)
def test_what_leaves_beside_other_calls(
    waiting: int, under_way: list[int], replicas: int, waited_s: float, leaves: bool
) -> None:
    assert settings(replicas=replicas, gather_s=0.01).worth_a_call(waiting, under_way, waited_s) == leaves


def gathering(replica: Replica, gather_s: float) -> RequestQueue:
    return queue(replica, max_calls=2, gather_s=gather_s)


async def test_a_small_request_beside_a_large_call_gathers_until_it_is_worth_a_call() -> None:
    replica = Replica()
    requests = gathering(replica, 20)
    tasks = [submit(requests, ["large"] * 8)]
    await settled()
    for _ in range(7):
        tasks.append(submit(requests, ["small"]))
        await settled()
    assert len(replica.calls) == 1
    tasks.append(submit(requests, ["small"]))
    await settled()
    assert [len(call) for call in replica.calls] == [8, 8]
    replica.gate.set()
    await asyncio.gather(*tasks)
    assert [len(call) for call in replica.calls] == [8, 8]


async def test_who_waited_for_a_free_call_waits_on_for_those_whom_that_call_answered() -> None:
    calls: list[tuple[int, asyncio.Event]] = []
    called = asyncio.Semaphore(0)

    async def answer(batch: Batch) -> EncodeReply:
        calls.append((len(batch.rows), asyncio.Event()))
        called.release()
        await calls[-1][1].wait()
        return EncodeReply(LABEL, np.zeros((len(batch.rows), 2), np.float32), [1] * len(batch.rows))

    gather_s = 0.2
    requests = queue(answer, max_calls=2, gather_s=gather_s)
    tasks = []
    for items in (4, 4, 2):
        tasks.append(submit(requests, ["one"] * items))
        await settled()
    assert [size for size, _ in calls] == [4, 4]
    await asyncio.sleep(1.5 * gather_s)  # longer than anybody gathers
    calls[0][1].set()
    await tasks[0]
    await settled()
    assert len(calls) == 2, "it left alone, a moment before the others asked again"
    tasks += [submit(requests, ["again"]) for _ in range(2)]
    await settled()
    assert [size for size, _ in calls] == [4, 4, 4]
    for _ in calls:
        await called.acquire()
    calls[1][1].set()
    await tasks[1]
    tasks.append(submit(requests, ["last"]))
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(called.acquire(), 60)
    assert gather_s - 0.01 <= asyncio.get_running_loop().time() - began < 60
    for _, answered in calls:
        answered.set()
    await asyncio.gather(*tasks)


async def test_it_leaves_as_soon_as_the_large_call_returns() -> None:
    replica = Replica()
    requests = gathering(replica, 20)
    tasks = [submit(requests, ["large"] * 8)]
    await settled()
    tasks.append(submit(requests, ["small"]))
    await settled()
    replica.gate.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 60)
    assert [len(call) for call in replica.calls] == [8, 1]


async def test_it_leaves_when_it_has_waited_long_enough_though_no_call_returns() -> None:
    replica = Replica()
    requests = gathering(replica, 0.05)
    loop = asyncio.get_running_loop()
    tasks = [submit(requests, ["large"] * 8)]
    await replica.called.acquire()
    began = loop.time()
    tasks.append(submit(requests, ["small"]))
    await asyncio.wait_for(replica.called.acquire(), 60)
    took = loop.time() - began
    replica.gate.set()
    await asyncio.gather(*tasks)
    assert took >= 0.049


async def test_a_request_that_goes_while_it_gathers_leaves_the_queue_working() -> None:
    replica = Replica()
    requests = gathering(replica, 0.02)
    large = submit(requests, ["large"] * 8)
    await replica.called.acquire()
    gone = submit(requests, ["gone"])
    await settled()
    gone.cancel()
    await asyncio.wait([gone])
    later = submit(requests, ["later"])
    await asyncio.wait_for(replica.called.acquire(), 60)
    replica.gate.set()
    await asyncio.gather(large, later)
    assert requests.waiting_items == requests.waiting_cost == 0
    assert replica.calls == [["large"] * 8, ["later"]]

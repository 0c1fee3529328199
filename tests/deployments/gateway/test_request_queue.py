from __future__ import annotations

import asyncio

import numpy as np
import pytest

from deployments.contract.types import EncodeReply, Item, ItemError, Label
from deployments.gateway.request_queue import BULK, SAMPLES, Outcome, Pace, RequestQueue, worth_a_call
from models.errors import UnavailableError


class Replica:
    """Answers calls when told to, and remembers them."""

    def __init__(self) -> None:
        self.calls: list[list[Item]] = []
        self.gate = asyncio.Event()
        self.called = asyncio.Semaphore(0)  # once for each call

    async def __call__(self, items: list[Item]) -> EncodeReply:
        self.calls.append(items)
        self.called.release()
        await self.gate.wait()
        errors = {i: ItemError("bad", "bad") for i, item in enumerate(items) if item == "bad"}
        return EncodeReply(Label("m@1", "h"), np.zeros((len(items), 2), np.float32), [1] * len(items), errors)


def queue(replica: Replica, *, calls: int = 1, cost: int = 100, waiting: int = 10_000) -> RequestQueue:
    coalescer = RequestQueue(replica, lambda _: 1)
    coalescer.max_calls, coalescer.call_cost, coalescer.max_waiting = calls, cost, waiting
    return coalescer


def submit(coalescer: RequestQueue, items: list[Item], *, bulk: bool = False) -> asyncio.Task[list[Outcome]]:
    async def request() -> list[Outcome]:
        BULK.set(bulk)
        return await coalescer.submit(items)

    return asyncio.ensure_future(request())


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_idle_queue_sends_at_once_and_a_busy_one_gathers() -> None:
    replica = Replica()
    coalescer = queue(replica)
    tasks = [submit(coalescer, [f"t{i}"]) for i in range(2)]  # read together: they leave together
    await settled()
    assert replica.calls == [["t0", "t1"]]
    tasks += [submit(coalescer, [f"t{i}"]) for i in range(2, 10)]
    await settled()
    assert len(replica.calls) == 1
    replica.gate.set()
    await asyncio.gather(*tasks)
    assert replica.calls == [["t0", "t1"], [f"t{i}" for i in range(2, 10)]]


async def test_a_single_text_overtakes_a_list_of_a_thousand() -> None:
    replica = Replica()
    coalescer = queue(replica)
    first = asyncio.ensure_future(coalescer.submit(["first"]))
    await settled()
    many = asyncio.ensure_future(coalescer.submit([f"m{i}" for i in range(1000)]))
    single = asyncio.ensure_future(coalescer.submit(["single"]))
    replica.gate.set()
    await asyncio.gather(first, many, single)
    assert next(i for i, call in enumerate(replica.calls) if "single" in call) == 1


async def test_results_come_back_in_order_however_calls_were_cut() -> None:
    replica = Replica()
    replica.gate.set()
    coalescer = queue(replica, calls=3, cost=7)
    outcomes = await coalescer.submit([f"{i}" for i in range(50)])
    sent = {item: call for call in replica.calls for item in call}
    assert [sent[f"{i}"].index(f"{i}") for i in range(50)] == [one.row for one in outcomes]
    assert max(len(call) for call in replica.calls) <= 7


async def test_a_bad_item_leaves_its_neighbours_alone() -> None:
    replica = Replica()
    replica.gate.set()
    coalescer = queue(replica)
    good, bad = await asyncio.gather(coalescer.submit(["a"]), coalescer.submit(["bad", "b"]))
    assert good[0].error is None
    assert [one.error is None for one in bad] == [False, True]


async def test_a_full_queue_refuses_and_drains_again() -> None:
    replica = Replica()
    coalescer = queue(replica, waiting=5)
    first = asyncio.ensure_future(coalescer.submit(["a"]))
    await settled()
    second = asyncio.ensure_future(coalescer.submit(["b"] * 5))
    await settled()
    with pytest.raises(UnavailableError, match="at capacity"):
        await coalescer.submit(["c"])
    assert coalescer.refused_cost == 1
    replica.gate.set()
    await asyncio.gather(first, second)
    assert coalescer.waiting_items == 0
    assert len(await coalescer.submit(["d"])) == 1


async def test_a_cancelled_request_is_never_sent() -> None:
    replica = Replica()
    coalescer = queue(replica)
    first = asyncio.ensure_future(coalescer.submit(["a"]))
    await settled()
    gone = asyncio.ensure_future(coalescer.submit(["gone"]))
    await settled()
    gone.cancel()
    await settled()
    replica.gate.set()
    await first
    await settled()
    assert replica.calls == [["a"]]
    assert coalescer.waiting_items == 0


async def test_a_failed_call_fails_its_requests_and_not_the_queue() -> None:
    calls = 0

    async def send(items: list[Item]) -> EncodeReply:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise UnavailableError("gone")
        return EncodeReply(Label("m@1", "h"), np.zeros((len(items), 2), np.float32), [1] * len(items))

    coalescer = RequestQueue(send, lambda _: 1)
    coalescer.max_waiting, coalescer.call_cost = 100, 100
    with pytest.raises(UnavailableError):
        await coalescer.submit(["a"])
    assert len(await coalescer.submit(["b"])) == 1


async def test_bulk_waits_until_nobody_else_does() -> None:
    replica = Replica()
    coalescer = queue(replica, cost=4)
    coalescer.bulk_share = 0.01
    tasks = [submit(coalescer, ["first"])]
    await settled()
    tasks.append(submit(coalescer, [f"b{i}" for i in range(6)], bulk=True))
    await settled()
    tasks += [submit(coalescer, [f"i{i}"]) for i in range(6)]
    await settled()
    replica.gate.set()
    await asyncio.gather(*tasks)
    assert replica.calls == [["first"], ["i0", "i1", "i2", "i3"], ["i4", "i5"], ["b0", "b1", "b2", "b3"], ["b4", "b5"]]


@pytest.mark.parametrize(("share", "size"), [(0.1, 1), (0.25, 1), (0.5, 3), (1.0, 1)])
async def test_bulk_is_never_starved_and_gets_its_share_of_the_work(share: float, size: int) -> None:
    replica = Replica()
    replica.gate.set()
    coalescer = RequestQueue(replica, lambda item: size if str(item).startswith("b") else 1)
    coalescer.max_waiting, coalescer.call_cost, coalescer.bulk_share = 10_000, 8, share
    users = submit(coalescer, [f"i{i}" for i in range(800)])
    bulk = submit(coalescer, [f"b{i}" for i in range(2000)], bulk=True)
    await users
    bulk.cancel()
    sent = [item for call in replica.calls for item in call]
    assert sum(str(item).startswith("i") for item in sent) == 800
    assert size * sum(str(item).startswith("b") for item in sent) == pytest.approx(800 * share, abs=9 + size)


async def test_one_call_is_kept_free_of_bulk() -> None:
    replica = Replica()
    coalescer = queue(replica, calls=2, cost=2)
    coalescer.bulk_share = 0.01
    bulk = submit(coalescer, [f"b{i}" for i in range(4)], bulk=True)
    await settled()
    assert replica.calls == [["b0", "b1"]]
    user = submit(coalescer, ["user"])
    await settled()
    assert replica.calls[1] == ["user"]
    replica.gate.set()
    await asyncio.gather(bulk, user)
    assert replica.calls[-1] == ["b2", "b3"]


async def test_with_one_call_allowed_bulk_takes_it() -> None:
    replica = Replica()
    replica.gate.set()
    assert len(await submit(queue(replica, calls=1), ["a", "b"], bulk=True)) == 2


async def test_bulk_is_refused_first() -> None:
    replica = Replica()
    coalescer = queue(replica, waiting=10)
    coalescer.bulk_waiting = 0.5
    tasks = [submit(coalescer, ["first"])]
    await settled()
    tasks.append(submit(coalescer, ["i"] * 4))
    await settled()
    with pytest.raises(UnavailableError, match="limit 5 for bulk"):
        await submit(coalescer, ["b"] * 2, bulk=True)
    tasks.append(submit(coalescer, ["i"] * 6))
    await settled()
    with pytest.raises(UnavailableError, match="limit 10"):
        await submit(coalescer, ["i"])
    replica.gate.set()
    await asyncio.gather(*tasks)
    assert coalescer.waiting_items == 0


async def test_cancelled_bulk_is_never_sent_and_leaves_its_place() -> None:
    replica = Replica()
    coalescer = queue(replica)
    first = submit(coalescer, ["a"])
    await settled()
    gone = submit(coalescer, ["gone", "gone too"], bulk=True)
    await settled()
    assert coalescer.waiting_items == 2
    gone.cancel()
    await settled()
    assert coalescer.waiting_items == 0
    replica.gate.set()
    await first
    await settled()
    assert replica.calls == [["a"]]


def test_the_pace_is_the_time_between_calls_that_come_back_crowded() -> None:
    pace = Pace()
    pace.note(0.0, 1.0, 10, crowded=False)
    assert pace.seconds_per_cost == 0
    pace.note(0.5, 2.0, 10, crowded=True)  # began before the first came back: one second was its own
    assert pace.seconds_per_cost == 0  # one call says nothing
    for i in range(SAMPLES - 1):
        pace.note(1.5 + i, 3.0 + i, 20 if i % 5 else 1, crowded=True)  # now and then one that was held up
    assert pace.seconds_per_cost == pytest.approx(0.05)


async def test_more_seconds_of_work_than_allowed_are_refused_and_the_queue_recovers() -> None:
    replica = Replica()
    coalescer = queue(replica, cost=2)
    tasks = [submit(coalescer, [f"t{i}"]) for i in range(2 * SAMPLES + 3)]
    await settled()
    replica.gate.set()
    await asyncio.gather(*tasks)
    replica.gate.clear()
    tasks = [submit(coalescer, [f"u{i}"]) for i in range(5)]  # a call of two leaves; three wait
    await settled()
    coalescer.max_wait_s = 2.5 * coalescer._pace.seconds_per_cost
    with pytest.raises(UnavailableError, match="s of work wait already"):
        await coalescer.submit(["too much"])
    replica.gate.set()
    await asyncio.gather(*tasks)
    assert len(await coalescer.submit(["later"])) == 1


async def test_cancelled_requests_leave_no_cost_behind() -> None:
    replica = Replica()
    coalescer = queue(replica, cost=4)
    first = submit(coalescer, ["a"])
    await settled()
    waiting = [submit(coalescer, [f"{i}-{j}" for j in range(7)]) for i in range(3)]
    await settled()
    for task in waiting:
        task.cancel()
    await settled()
    replica.gate.set()
    await first
    assert coalescer.waiting_cost == coalescer.waiting_items == 0


@pytest.mark.parametrize(
    ("waiting", "under_way", "replicas", "waited_s", "leaves"),
    [
        pytest.param(1, [], 1, 0.0, True, id="an idle replica is waiting"),
        pytest.param(1, [64], 2, 0.0, True, id="one of two replicas is idle"),
        pytest.param(1, [64], 1, 0.0, False, id="little beside much gathers on"),
        pytest.param(32, [64], 1, 0.0, True, id="half as much is worth a call"),
        pytest.param(31, [64, 2], 2, 0.0, False, id="the largest call counts"),
        pytest.param(1, [2], 1, 0.0, True, id="one beside one leaves"),
        pytest.param(1, [64], 1, 0.01, True, id="it has waited long enough"),
    ],
)
def test_what_leaves_beside_other_calls(
    waiting: int, under_way: list[int], replicas: int, waited_s: float, leaves: bool
) -> None:
    assert worth_a_call(waiting, under_way, replicas, waited_s, gather_s=0.01) == leaves


def gathering(replica: Replica, gather_s: float) -> RequestQueue:
    coalescer = queue(replica, calls=2)
    coalescer.gather_s = gather_s
    return coalescer


async def test_a_small_request_beside_a_large_call_gathers_until_it_is_worth_a_call() -> None:
    replica = Replica()
    coalescer = gathering(replica, 20)
    tasks = [submit(coalescer, ["large"] * 8)]
    await settled()
    for _ in range(3):
        tasks.append(submit(coalescer, ["small"]))
        await settled()
    assert len(replica.calls) == 1
    tasks.append(submit(coalescer, ["small"]))
    await settled()
    assert [len(call) for call in replica.calls] == [8, 4]
    replica.gate.set()
    await asyncio.gather(*tasks)
    assert [len(call) for call in replica.calls] == [8, 4]


async def test_it_leaves_as_soon_as_the_large_call_returns() -> None:
    replica = Replica()
    coalescer = gathering(replica, 20)
    tasks = [submit(coalescer, ["large"] * 8)]
    await settled()
    tasks.append(submit(coalescer, ["small"]))
    await settled()
    replica.gate.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert [len(call) for call in replica.calls] == [8, 1]


async def test_it_leaves_when_it_has_waited_long_enough_though_no_call_returns() -> None:
    replica = Replica()
    coalescer = gathering(replica, 0.05)
    loop = asyncio.get_running_loop()
    tasks = [submit(coalescer, ["large"] * 8)]
    await replica.called.acquire()
    began = loop.time()
    tasks.append(submit(coalescer, ["small"]))
    await asyncio.wait_for(replica.called.acquire(), 10)
    took = loop.time() - began
    replica.gate.set()
    await asyncio.gather(*tasks)
    assert took >= 0.049


async def test_a_request_that_goes_while_it_gathers_leaves_the_queue_working() -> None:
    replica = Replica()
    coalescer = gathering(replica, 0.02)
    large = submit(coalescer, ["large"] * 8)
    await replica.called.acquire()
    gone = submit(coalescer, ["gone"])
    await settled()
    gone.cancel()
    await asyncio.wait([gone])
    later = submit(coalescer, ["later"])
    await asyncio.wait_for(replica.called.acquire(), 10)
    replica.gate.set()
    await asyncio.gather(large, later)
    assert coalescer.waiting_items == coalescer.waiting_cost == 0
    assert replica.calls == [["large"] * 8, ["later"]]

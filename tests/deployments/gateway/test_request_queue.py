from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import numpy as np
import pytest

from deployments.contract.embedding import Embedding, Label, Outcome
from deployments.contract.items import Item, ItemError
from deployments.contract.reply import EncodeReply
from deployments.gateway import queue_settings, unjoined
from deployments.gateway.batch import Batch
from deployments.gateway.pace import SAMPLES
from deployments.gateway.queue_settings import BULK_PART, CROWD, GROWTH, QueueSettings
from deployments.gateway.request_queue import RequestQueue, Send
from models.errors import UnavailableError

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


async def test_an_idle_queue_sends_at_once_and_a_busy_one_gathers() -> None:
    replica = Replica()
    requests = queue(replica)
    tasks = [submit(requests, [f"t{i}"]) for i in range(2)]  # read together: they leave together
    await settled()
    assert replica.calls == [["t0", "t1"]]
    tasks += [submit(requests, [f"t{i}"]) for i in range(2, 10)]
    await settled()
    assert len(replica.calls) == 1
    replica.gate.set()
    await asyncio.gather(*tasks)
    assert replica.calls == [["t0", "t1"], [f"t{i}" for i in range(2, 10)]]


async def test_a_single_text_overtakes_a_list_of_a_thousand() -> None:
    replica = Replica()
    requests = queue(replica)
    first = submit(requests, ["first"])
    await settled()
    many = submit(requests, [f"m{i}" for i in range(1000)])
    single = submit(requests, ["single"])
    replica.gate.set()
    await asyncio.gather(first, many, single)
    assert next(i for i, call in enumerate(replica.calls) if "single" in call) == 1


async def test_results_come_back_in_order_however_calls_were_cut() -> None:
    replica = Replica()
    replica.gate.set()
    requests = queue(replica, max_calls=3, call_cost=7)
    outcomes = await submit(requests, [f"{i}" for i in range(50)])
    sent = {item: call for call in replica.calls for item in call}
    assert [sent[f"{i}"].index(f"{i}") for i in range(50)] == [
        one.tokens for one in outcomes if isinstance(one, Embedding)
    ]
    assert max(len(call) for call in replica.calls) <= 7
    assert replica.costs == [len(call) for call in replica.calls]


async def test_a_bad_item_leaves_its_neighbours_alone() -> None:
    replica = Replica()
    replica.gate.set()
    requests = queue(replica)
    good, bad = await asyncio.gather(submit(requests, ["a"]), submit(requests, ["bad", "b"]))
    assert isinstance(good[0], Embedding)
    assert [type(one) for one in bad] == [ItemError, Embedding]


async def test_a_full_queue_refuses_and_drains_again() -> None:
    replica = Replica()
    requests = queue(replica, waiting_items=5)
    first = submit(requests, ["a"])
    await settled()
    second = submit(requests, ["b"] * 5)
    await settled()
    with pytest.raises(UnavailableError, match="at capacity"):
        await submit(requests, ["c"])
    assert (requests.take_refused_cost(), requests.take_refused_cost()) == (1, 0)
    replica.gate.set()
    await asyncio.gather(first, second)
    assert requests.waiting_items == 0
    assert len(await submit(requests, ["d"])) == 1


async def test_a_cancelled_request_is_never_sent() -> None:
    replica = Replica()
    requests = queue(replica)
    first = submit(requests, ["a"])
    await settled()
    gone = submit(requests, ["gone"])
    await settled()
    gone.cancel()
    await settled()
    replica.gate.set()
    await first
    await settled()
    assert replica.calls == [["a"]]
    assert requests.waiting_items == 0


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


async def test_bulk_waits_until_nobody_else_does() -> None:
    replica = Replica()
    requests = queue(replica, call_cost=4, bulk_share=0.01)
    tasks = [submit(requests, ["first"])]
    await settled()
    tasks.append(submit(requests, [f"b{i}" for i in range(6)], bulk=True))
    await settled()
    tasks += [submit(requests, [f"i{i}"]) for i in range(6)]
    await settled()
    replica.gate.set()
    await asyncio.gather(*tasks)
    assert replica.calls == [["first"], ["i0", "i1", "i2", "i3"], ["i4", "i5"], *([f"b{i}"] for i in range(6))]


@pytest.mark.parametrize(("share", "size"), [(0.1, 1), (0.25, 1), (0.5, 3), (1.0, 1)])
async def test_bulk_is_never_starved_and_gets_its_share_of_the_work(share: float, size: int) -> None:
    replica = Replica()
    replica.gate.set()
    limits = settings(call_cost=8, bulk_share=share)
    requests = RequestQueue(replica, lambda item: size if str(item).startswith("b") else 1, limits)
    users = submit(requests, [f"i{i}" for i in range(800)])
    bulk = submit(requests, [f"b{i}" for i in range(2000)], bulk=True)
    await users
    bulk.cancel()
    sent = [item for call in replica.calls for item in call]
    assert sum(str(item).startswith("i") for item in sent) == 800
    assert size * sum(str(item).startswith("b") for item in sent) == pytest.approx(800 * share, abs=9 + size)


@pytest.mark.parametrize("max_calls", [1, 2])
async def test_calls_of_bulk_take_no_place_of_users_calls(max_calls: int) -> None:
    replica = Replica()
    requests = queue(replica, max_calls=max_calls, call_cost=2, bulk_share=0.01)
    bulk = submit(requests, [f"b{i}" for i in range(6)], bulk=True)
    await settled()
    assert replica.calls == [["b0", "b1"], ["b2", "b3"]][:max_calls]
    users = [submit(requests, ["user", "another"]) for _ in range(max_calls)]
    await settled()
    assert replica.calls[max_calls:] == [["user", "another"]] * max_calls
    replica.gate.set()
    await asyncio.gather(bulk, *users)
    assert [item for call in replica.calls[2 * max_calls :] for item in call] == [
        f"b{i}" for i in range(2 * max_calls, 6)
    ]


async def test_a_user_gathers_behind_other_users_and_not_behind_bulk() -> None:
    replica = Replica()
    requests = queue(replica, max_calls=2, gather_s=20, bulk_share=0.01)
    bulk = submit(requests, ["bulk"] * 250, bulk=True)
    await settled()
    assert [len(call) for call in replica.calls] == [100, 100]
    first = submit(requests, ["large"] * 8)
    await settled()
    second = submit(requests, ["small"])
    await settled()
    assert replica.calls[2:] == [["large"] * 8]
    replica.gate.set()
    await asyncio.gather(bulk, first, second)


async def test_bulk_leaves_in_small_calls_while_there_are_users(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = Replica()
    replica.gate.set()
    requests = queue(replica, call_cost=8 * BULK_PART)
    await submit(requests, ["user"])
    await submit(requests, ["b"] * 40, bulk=True)
    assert max(len(call) for call in replica.calls) == 8
    monkeypatch.setattr(queue_settings, "CALM_S", -1.0)  # as long afterwards
    await submit(requests, ["b"] * 40, bulk=True)
    assert len(replica.calls[-1]) == 40


async def test_with_one_call_allowed_bulk_takes_it() -> None:
    replica = Replica()
    replica.gate.set()
    assert len(await submit(queue(replica), ["a", "b"], bulk=True)) == 2


async def test_bulk_is_refused_first() -> None:
    replica = Replica()
    requests = queue(replica, waiting_items=10, bulk_waiting=0.5)
    tasks = [submit(requests, ["first"])]
    await settled()
    tasks.append(submit(requests, ["i"] * 4))
    await settled()
    with pytest.raises(UnavailableError, match="limit 5 for bulk"):
        await submit(requests, ["b"] * 2, bulk=True)
    tasks.append(submit(requests, ["i"] * 6))
    await settled()
    with pytest.raises(UnavailableError, match="limit 10"):
        await submit(requests, ["i"])
    replica.gate.set()
    await asyncio.gather(*tasks)
    assert requests.waiting_items == 0


async def test_cancelled_bulk_is_never_sent_and_leaves_its_place() -> None:
    replica = Replica()
    requests = queue(replica)
    first = submit(requests, ["a"])
    await settled()
    gone = submit(requests, ["gone", "gone too"], bulk=True)
    await settled()
    assert requests.waiting_items == 2
    gone.cancel()
    await settled()
    assert requests.waiting_items == 0
    replica.gate.set()
    await first
    await settled()
    assert replica.calls == [["a"]]


async def test_more_seconds_of_work_than_allowed_are_refused_and_the_queue_recovers() -> None:
    replica = Replica()
    requests = queue(replica, call_cost=2)
    tasks = [submit(requests, [f"t{i}"]) for i in range(2 * GROWTH * SAMPLES + 3)]
    await settled()
    replica.gate.set()
    await asyncio.gather(*tasks)
    replica.gate.clear()
    tasks = [submit(requests, [f"u{i}"]) for i in range(5)]  # a call of two leaves; three wait
    await settled()
    requests.configure(settings(call_cost=2, waiting_s=2.5 * requests._pace.seconds_per_cost))
    with pytest.raises(UnavailableError, match="s of work wait already"):
        await submit(requests, ["too much"])
    replica.gate.set()
    await asyncio.gather(*tasks)
    assert len(await submit(requests, ["later"])) == 1


@pytest.mark.parametrize(
    ("requests", "cost", "most"),
    [
        pytest.param(CROWD - 1, 9000, 100, id="a long list with few others"),
        pytest.param(CROWD, 150, 100, id="many requests that fit into one call"),
        pytest.param(CROWD, 300, 150, id="half of what a crowd waits for"),
        pytest.param(10 * CROWD, 9000, GROWTH * 100, id="a great crowd"),
    ],
)
def test_a_crowd_leaves_in_larger_calls(requests: int, cost: int, most: int) -> None:
    assert settings(call_cost=100).largest_call(requests, cost) == most


async def test_a_crowd_of_users_is_counted_without_bulk() -> None:
    replica = Replica()
    requests = queue(replica, call_cost=2)
    first = submit(requests, ["first"])
    await settled()
    users = [submit(requests, [f"u{i}"]) for i in range(2 * CROWD)]
    bulk = [submit(requests, [f"b{i}"], bulk=True) for i in range(4 * CROWD)]
    await settled()
    replica.gate.set()
    await asyncio.gather(first, *users, *bulk)
    assert [item[0] for item in replica.calls[1]].count("u") == GROWTH * 2
    assert max(len(call) for call in replica.calls if call[0].startswith("b")) == 1  # small, as there are users


async def test_cancelled_requests_leave_no_cost_behind() -> None:
    replica = Replica()
    requests = queue(replica, call_cost=4)
    first = submit(requests, ["a"])
    await settled()
    waiting = [submit(requests, [f"{i}-{j}" for j in range(7)]) for i in range(3)]
    await settled()
    for task in waiting:
        task.cancel()
    await settled()
    replica.gate.set()
    await first
    assert requests.waiting_cost == requests.waiting_items == 0


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
    assert settings(replicas=replicas, gather_s=0.01).worth_a_call(waiting, under_way, waited_s) == leaves


def gathering(replica: Replica, gather_s: float) -> RequestQueue:
    return queue(replica, max_calls=2, gather_s=gather_s)


async def test_a_small_request_beside_a_large_call_gathers_until_it_is_worth_a_call() -> None:
    replica = Replica()
    requests = gathering(replica, 20)
    tasks = [submit(requests, ["large"] * 8)]
    await settled()
    for _ in range(3):
        tasks.append(submit(requests, ["small"]))
        await settled()
    assert len(replica.calls) == 1
    tasks.append(submit(requests, ["small"]))
    await settled()
    assert [len(call) for call in replica.calls] == [8, 4]
    replica.gate.set()
    await asyncio.gather(*tasks)
    assert [len(call) for call in replica.calls] == [8, 4]


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


async def test_a_call_carries_nothing_of_the_request_that_happened_to_start_it() -> None:
    """Serve counts what a request calls as its children, and cancels them with it."""
    whose: ContextVar[str] = ContextVar("whose", default="nobody's")
    seen: list[str] = []
    replica = Replica()

    async def send(batch: Batch) -> EncodeReply:
        seen.append(whose.get())
        return await replica(batch)

    requests = queue(send, max_calls=2, gather_s=0.001)

    async def ask(name: str) -> None:
        whose.set(name)
        await submit(requests, [name])

    tasks = [asyncio.ensure_future(ask("first"))]
    await replica.called.acquire()
    tasks += [asyncio.ensure_future(ask(f"later {n}")) for n in range(5)]
    await asyncio.wait_for(replica.called.acquire(), 60)  # the timer's
    tasks += [asyncio.ensure_future(ask(f"last {n}")) for n in range(5)]
    await settled()
    replica.gate.set()
    await asyncio.gather(*tasks)
    assert set(seen) == {"nobody's"}
    assert len(seen) == 3


async def test_a_reply_with_too_few_rows_fails_its_requests_and_keeps_nobody_waiting() -> None:
    async def send(batch: Batch) -> EncodeReply:
        items = batch.items
        return EncodeReply(LABEL, np.zeros((len(items) - 1, 2), np.float32), [1] * (len(items) - 1))

    with pytest.raises(IndexError):
        await asyncio.wait_for(submit(queue(send), ["a", "b"]), 60)

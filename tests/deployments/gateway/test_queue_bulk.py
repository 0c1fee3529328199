"""Bulk leaves beside users, never before them, and is refused first."""

from __future__ import annotations

import asyncio

import pytest

from deployments.gateway import queue_settings
from deployments.gateway.queue_settings import BULK_PART, CROWD, GROWTH
from deployments.gateway.request_queue import RequestQueue
from models.errors import UnavailableError
from tests.deployments.gateway.queues import Replica, queue, settings, settled, submit


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

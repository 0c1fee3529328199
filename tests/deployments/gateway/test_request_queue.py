from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from deployments.contract.embedding import Embedding
from deployments.contract.reply import EncodeReply
from deployments.gateway.batch import Batch
from deployments.gateway.pace import SAMPLES
from deployments.gateway.queue_settings import CROWD, GROWTH
from models.errors import UnavailableError
from tests.deployments.gateway.queues import Replica, queue, settings, settled, submit


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

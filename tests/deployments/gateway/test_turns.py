"""Long lists share the event loop by slices."""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import given
from hypothesis import strategies as st

from deployments.gateway.turns import SLICE, Turns, portions


async def test_the_slices_of_a_list_are_all_of_it_in_order() -> None:
    turns = Turns()
    for count in (0, 1, SLICE, SLICE + 1, 2048):
        parts = [list(range(count))[part] async for part in turns.slices(count)]
        assert [one for part in parts for one in part] == list(range(count))
        assert all(len(part) <= SLICE for part in parts)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=10 * SLICE))
def test_a_portion_is_small_and_all_of_them_are_the_list(costs: list[int]) -> None:
    parts = [costs[part] for part in portions(costs, 20)]
    assert [one for part in parts for one in part] == costs
    assert all(len(part) == 1 or (len(part) <= SLICE and sum(part) <= 20) for part in parts)
    assert all(len(a) == SLICE or sum(a) + b[0] > 20 for a, b in itertools.pairwise(parts))  # none could be longer


async def test_in_a_round_of_the_event_loop_one_of_many_lists_has_its_turn() -> None:
    turns, done, rounds = Turns(), 0, 0
    most = 0

    async def work() -> None:
        nonlocal done
        async for _ in turns.slices(5 * SLICE):
            done += 1

    lists = [asyncio.ensure_future(work()) for _ in range(100)]
    while not all(one.done() for one in lists):
        before = done
        await asyncio.sleep(0)
        most, rounds = max(most, done - before), rounds + 1
    assert (done, most) == (500, 1)
    assert rounds < 1000


async def test_a_list_that_is_given_up_takes_no_turn_from_the_others() -> None:
    turns = Turns()
    order: list[int] = []

    async def work(number: int) -> None:
        async for _ in turns.slices(4 * SLICE):
            order.append(number)

    lists = [asyncio.ensure_future(work(number)) for number in range(10)]
    await asyncio.sleep(0)
    for one in lists[::2]:
        one.cancel()
    await asyncio.wait(lists)
    assert [order.count(number) for number in range(1, 10, 2)] == [4] * 5
    assert len([part async for part in turns.slices(SLICE)]) == 1

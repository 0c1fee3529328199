from __future__ import annotations

import asyncio

import pytest

from deployments.gateway.single_flight import Settle, SingleFlight


class Work:
    """Computes the length of keys once its gate is open, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[bytes]] = []
        self.gate = asyncio.Event()
        self.flights: SingleFlight[int] = SingleFlight()

    async def compute(self, keys: list[bytes], settle: Settle[int]) -> None:
        self.asked.append(keys)
        await self.gate.wait()
        for key in keys:
            settle(key, len(key))

    def ask(self, *keys: bytes, joinable: bool = True) -> asyncio.Task[dict[bytes, int]]:
        return asyncio.ensure_future(self.flights.results(keys, self.compute, joinable=joinable))


async def begun() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_who_asks_meanwhile_follows_and_computes_only_what_is_new() -> None:
    work = Work()
    leader = work.ask(b"a", b"bb")
    await begun()
    follower = work.ask(b"bb", b"ccc")
    await begun()
    work.gate.set()
    assert await leader == {b"a": 1, b"bb": 2}
    assert await follower == {b"bb": 2, b"ccc": 3}
    assert work.asked == [[b"a", b"bb"], [b"ccc"]]


async def test_what_has_come_back_is_computed_anew() -> None:
    work = Work()
    work.gate.set()
    await work.ask(b"a")
    await work.ask(b"a")
    assert work.asked == [[b"a"], [b"a"]]


async def test_followers_go_on_as_soon_as_their_key_has_a_result() -> None:
    flights: SingleFlight[int] = SingleFlight()
    gate = asyncio.Event()

    async def compute(keys: list[bytes], settle: Settle[int]) -> None:
        settle(keys[0], 1)
        await gate.wait()
        settle(keys[1], 2)

    leader = asyncio.ensure_future(flights.results([b"early", b"late"], compute, joinable=True))
    await begun()
    assert await asyncio.wait_for(flights.results([b"early"], compute, joinable=True), 10) == {b"early": 1}
    gate.set()
    assert await leader == {b"early": 1, b"late": 2}


async def test_nobody_follows_who_is_not_joinable_but_it_may_follow() -> None:
    work = Work()
    work.ask(b"a", joinable=False)
    await begun()
    leader = work.ask(b"a")
    await begun()
    follower = work.ask(b"a", joinable=False)
    await begun()
    work.gate.set()
    assert await leader == await follower == {b"a": 1}
    assert work.asked == [[b"a"], [b"a"]]


async def test_followers_of_a_leader_that_is_cancelled_compute_alone() -> None:
    work = Work()
    leader = work.ask(b"a")
    await begun()
    followers = [work.ask(b"a") for _ in range(2)]
    await begun()
    leader.cancel()
    work.gate.set()
    assert [await follower for follower in followers] == [{b"a": 1}, {b"a": 1}]
    assert work.asked == [[b"a"]] * 3


async def test_a_follower_that_is_cancelled_leaves_the_leader_and_the_others_alone() -> None:
    work = Work()
    leader, gone, follower = work.ask(b"a"), work.ask(b"a"), work.ask(b"a")
    await begun()
    gone.cancel()
    work.gate.set()
    assert await leader == await follower == {b"a": 1}
    assert work.asked == [[b"a"]]


async def test_what_the_leader_raises_is_its_own() -> None:
    flights: SingleFlight[int] = SingleFlight()
    failing = True

    async def compute(keys: list[bytes], settle: Settle[int]) -> None:
        nonlocal failing
        await asyncio.sleep(0)
        if failing:
            failing = False
            raise ValueError("broken")
        settle(keys[0], 1)

    leader, follower = (asyncio.ensure_future(flights.results([b"a"], compute, joinable=True)) for _ in range(2))
    with pytest.raises(ValueError, match="broken"):
        await leader
    assert await follower == {b"a": 1}

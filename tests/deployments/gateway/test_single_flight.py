from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from deployments.gateway.flight import Flight
from deployments.gateway.single_flight import SingleFlight


class Work:
    """Takes on what it is asked for once ``begin`` is set, and lands the length of each key once ``gate`` is."""

    def __init__(self) -> None:
        self.asked: list[list[bytes]] = []
        self.begin, self.gate = asyncio.Event(), asyncio.Event()
        self.begin.set()
        self.withdrawn: list[bytes] = []
        self.flights: SingleFlight[int] = SingleFlight()
        self.tasks: list[asyncio.Task[None]] = []

    async def compute(self, flights: list[Flight[int]]) -> None:
        self.asked.append([flight.key for flight in flights])
        await self.begin.wait()

        def withdraw() -> Sequence[Flight[int]]:
            gone = [flight for flight in flights if not flight.waiting and not flight.landed]
            self.withdrawn += [flight.key for flight in gone]
            return gone

        for flight in flights:
            flight.withdraw = withdraw
        self.tasks.append(asyncio.ensure_future(self.land(flights)))

    async def land(self, flights: list[Flight[int]]) -> None:
        await self.gate.wait()
        for flight in flights:
            self.flights.land(flight, len(flight.key))

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
    assert len(work.flights) == 0


async def test_what_has_come_back_is_computed_anew() -> None:
    work = Work()
    work.gate.set()
    await work.ask(b"a")
    await work.ask(b"a")
    assert work.asked == [[b"a"], [b"a"]]


async def test_followers_go_on_as_soon_as_their_key_has_a_result() -> None:
    flights: SingleFlight[int] = SingleFlight()
    gate = asyncio.Event()

    async def compute(asked: list[Flight[int]]) -> None:
        await asyncio.sleep(0)
        flights.land(asked[0], 1)
        await gate.wait()
        flights.land(asked[1], 2)

    leader = asyncio.ensure_future(flights.results([b"early", b"late"], compute, joinable=True))
    follower = asyncio.ensure_future(flights.results([b"early"], compute, joinable=True))
    late = asyncio.ensure_future(flights.results([b"late"], compute, joinable=True))
    assert await asyncio.wait_for(follower, 60) == {b"early": 1}
    gate.set()
    assert await leader == {b"early": 1, b"late": 2}
    assert await late == {b"late": 2}


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


async def test_what_a_cancelled_leader_has_under_way_arrives_at_those_who_follow() -> None:
    work = Work()
    leader = work.ask(b"a", b"bb")
    await begun()
    followers = [work.ask(b"a") for _ in range(200)]
    await begun()
    leader.cancel()
    await begun()
    assert work.withdrawn == [b"bb"]
    late = work.ask(b"a")
    await begun()
    work.gate.set()
    assert [await follower for follower in [*followers, late]] == [{b"a": 1}] * 201
    assert work.asked == [[b"a", b"bb"]]
    assert len(work.flights) == 0


async def test_what_a_cancelled_leader_had_only_begun_goes_to_the_first_who_follows() -> None:
    work = Work()
    work.begin.clear()
    leader = work.ask(b"a", b"bb")
    await begun()
    followers = [work.ask(b"a") for _ in range(200)]
    await begun()
    leader.cancel()
    await begun()
    assert work.asked == [[b"a", b"bb"], [b"a"]]
    followers[0].cancel()  # the work goes on, because the others wait for it
    await begun()
    work.begin.set()
    work.gate.set()
    assert [await follower for follower in followers[1:]] == [{b"a": 1}] * 199
    assert work.asked == [[b"a", b"bb"], [b"a"]]
    assert len(work.flights) == 0


async def test_a_user_takes_on_what_its_leader_left_before_bulk_does() -> None:
    work = Work()
    work.begin.clear()
    leader = work.ask(b"a")
    await begun()
    bulk, user = work.ask(b"a", joinable=False), work.ask(b"a")
    await begun()
    leader.cancel()
    await begun()
    assert len(work.flights) == 1
    user.cancel()
    work.begin.set()
    work.gate.set()
    assert await bulk == {b"a": 1}


async def test_nobody_comes_to_wait_for_bulk_that_took_on_what_its_leader_left() -> None:
    work = Work()
    work.begin.clear()
    leader = work.ask(b"a")
    await begun()
    bulk = work.ask(b"a", joinable=False)
    await begun()
    leader.cancel()
    await begun()
    user = work.ask(b"a")
    await begun()
    assert work.asked == [[b"a"]] * 3
    work.begin.set()
    work.gate.set()
    assert await bulk == await user == {b"a": 1}


async def test_what_everybody_left_is_given_up_and_computed_anew_for_the_next() -> None:
    work = Work()
    tasks = [work.ask(b"a") for _ in range(3)]
    await begun()
    for task in tasks:
        task.cancel()
    await begun()
    assert work.withdrawn == [b"a"]
    assert len(work.flights) == 0
    work.gate.set()
    assert await work.ask(b"a") == {b"a": 1}


async def test_a_follower_that_is_cancelled_leaves_the_leader_and_the_others_alone() -> None:
    work = Work()
    leader, gone, follower = work.ask(b"a"), work.ask(b"a"), work.ask(b"a")
    await begun()
    gone.cancel()
    work.gate.set()
    assert await leader == await follower == {b"a": 1}
    assert work.asked == [[b"a"]]


async def test_what_the_leader_raises_before_it_has_begun_is_its_own() -> None:
    flights: SingleFlight[int] = SingleFlight()
    failing = True

    async def compute(asked: list[Flight[int]]) -> None:
        nonlocal failing
        await asyncio.sleep(0)
        if failing:
            failing = False
            raise ValueError("broken")
        flights.land(asked[0], 1)

    leader, *followers = (asyncio.ensure_future(flights.results([b"a"], compute, joinable=True)) for _ in range(5))
    with pytest.raises(ValueError, match="broken"):
        await leader
    assert [await follower for follower in followers] == [{b"a": 1}] * 4


async def test_each_who_waited_is_told_of_a_failure_by_an_error_of_its_own() -> None:
    """One object raised in many tasks would hold all their tracebacks, and whatever their callers add to it."""
    flights: SingleFlight[int] = SingleFlight()
    failure = ValueError("broken")

    async def compute(asked: list[Flight[int]]) -> None:
        await asyncio.sleep(0)
        flights.land(asked[0], failure)

    tasks = [asyncio.ensure_future(flights.results([b"a"], compute, joinable=True)) for _ in range(50)]
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert [(type(error), str(error)) for error in errors if isinstance(error, ValueError)] == [
        (ValueError, "broken")
    ] * 50
    assert len({id(error) for error in errors}) == 50
    assert failure.__traceback__ is None
    assert len(flights) == 0

"""Single-flight: an input that is being computed is not computed again for those who ask for it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Generic, TypeVar

from deployments.gateway.flight import Flight, Waiter
from deployments.rpc.detached import detached

R = TypeVar("R")
Compute = Callable[[list[Flight[R]]], Awaitable[None]]


class SingleFlight(Generic[R]):
    """Who computes which key right now: the first who asks for a key leads, whoever asks for it meanwhile follows."""

    def __init__(self) -> None:
        """Start with nothing under way."""
        self._flights: dict[bytes, Flight[R]] = {}  # that others may join
        self._handed_over: set[asyncio.Task[None]] = set()  # asyncio itself holds tasks weakly

    def __len__(self) -> int:
        """Number of keys that are under way and may be joined."""
        return len(self._flights)

    async def results(self, keys: Collection[bytes], compute: Compute[R], *, joinable: bool) -> dict[bytes, R]:
        """The results of keys: those that nobody computes yet are computed here, the others are waited for.

        Whoever leaves, for its deadline or its client, takes nothing from the others: what is on its way arrives, and what
        was only about to be is taken on by the first of those who wait.

        Args:
            keys: each once.
            compute: lands flights with ``land``, or sets ``withdraw`` where somebody else will. What it leaves undone has no
                result here, and what it raises is raised here.
            joinable: whether others may follow.
        """
        waiter = Waiter(compute, joinable=joinable)
        led = []
        for key in keys:
            flight = self._flights.get(key)
            if flight is None:
                flight = Flight(key)
                led.append(flight)
                if joinable:
                    self._flights[key] = flight
            waiter.board(flight)
        try:
            if led:
                await self._compute(led, waiter)
            return await waiter.all()
        finally:
            for flight in waiter.leave_all() if waiter.open else ():
                self._forget(flight)

    def land(self, flight: Flight[R], result: R | Exception) -> None:
        """Give everybody who waits for a flight its result, or why there is none."""
        self._forget(flight)
        flight.land(result)

    async def _compute(self, flights: list[Flight[R]], waiter: Waiter[R]) -> None:
        """Have flights computed as one request does it; what that leaves undone goes to the next who waits for it."""
        try:
            await waiter.compute(flights)
        finally:
            stranded = [flight for flight in flights if flight.stranded]
            if stranded:
                self._hand_over(stranded, waiter)

    def _hand_over(self, stranded: list[Flight[R]], leader: Waiter[R]) -> None:
        heirs: dict[Waiter[R], list[Flight[R]]] = {}
        for flight in stranded:
            leader.leave(flight)
            heir = _heir(flight)
            if heir is None or not heir.joinable:
                self._forget(flight)
            if heir is not None:
                heirs.setdefault(heir, []).append(flight)
        for heir, flights in heirs.items():
            task = detached(self._inherit(flights, heir))
            self._handed_over.add(task)
            task.add_done_callback(self._handed_over.discard)

    async def _inherit(self, flights: list[Flight[R]], heir: Waiter[R]) -> None:
        try:
            await self._compute(flights, heir)
        except Exception as error:  # whatever it is, it is the answer to the request in whose place this was done
            heir.fail(error)

    def _forget(self, flight: Flight[R]) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]


def _heir(flight: Flight[R]) -> Waiter[R] | None:
    """Who takes a flight on: the first who waits, but a user before bulk, for users must not come to wait for bulk."""
    return next((one for one in flight.waiting if one.joinable), next(iter(flight.waiting), None))

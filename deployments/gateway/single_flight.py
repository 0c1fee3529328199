"""Single-flight: an input that is being computed is not computed again for those who ask for it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Generic, TypeVar

R = TypeVar("R")
Settle = Callable[[bytes, R], None]
Compute = Callable[[list[bytes], Settle[R]], Awaitable[None]]


class SingleFlight(Generic[R]):
    """Who computes which key right now: the first who asks for a key leads, whoever asks for it meanwhile follows."""

    def __init__(self) -> None:
        """Start with nothing under way."""
        self._flights: dict[bytes, asyncio.Future[R]] = {}  # of leaders whom others may follow

    async def results(self, keys: Collection[bytes], compute: Compute[R], *, joinable: bool) -> dict[bytes, R]:
        """The results of keys: those that nobody computes yet are computed here, the others are waited for.

        Args:
            keys: each once.
            compute: computes some of the keys, and calls its second argument with each key and result as soon as there is
                one: whoever follows goes on then. What it raises is raised here.
            joinable: whether others may follow.
        """
        followed = {key: self._flights[key] for key in keys if key in self._flights}
        led = [key for key in keys if key not in followed]
        results = await self._lead(led, compute, joinable=joinable) if led else {}
        for key, flight in followed.items():
            await asyncio.wait([flight])
            if flight.cancelled():  # its leader is gone or failed
                results.update(await self._lead([key], compute, joinable=False))
            else:
                results[key] = flight.result()
        return results

    async def _lead(self, keys: list[bytes], compute: Compute[R], *, joinable: bool) -> dict[bytes, R]:
        results: dict[bytes, R] = {}
        if not joinable:
            await compute(keys, results.__setitem__)
            return results
        loop = asyncio.get_running_loop()
        flights = {key: loop.create_future() for key in keys}
        self._flights.update(flights)

        def settle(key: bytes, result: R) -> None:
            results[key] = result
            flights[key].set_result(result)

        try:
            await compute(keys, settle)
        finally:
            for key, flight in flights.items():
                del self._flights[key]
                flight.cancel()  # without effect where there is a result; otherwise whoever waited computes it alone
        return results

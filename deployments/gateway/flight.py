"""Inputs that are being computed, and the requests that wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

R = TypeVar("R")


class Flight(Generic[R]):
    """One input on its way. Whoever has it computed lands it, whether or not anybody still waits for it."""

    __slots__ = ("key", "landed", "waiting", "withdraw")

    def __init__(self, key: bytes) -> None:
        """Nobody waits for it, and nobody has it computed."""
        self.key = key
        self.waiting: dict[Waiter[R], None] = {}  # in the order in which they came
        self.landed = False
        # Set by who took it on and will land it: gives up those of its flights that nobody waits for and that can still be
        # given up, and returns them.
        self.withdraw: Callable[[], Sequence[Flight[R]]] | None = None

    @property
    def stranded(self) -> bool:
        """Whether it has not landed and nobody is to land it."""
        return not self.landed and self.withdraw is None

    def land(self, result: R | Exception) -> None:
        """Give everybody who waits the result, or why there is none."""
        self.landed = True
        self.withdraw = None  # it holds the request that holds this: a cycle would wait for the collector
        waiting, self.waiting = self.waiting, {}
        for waiter in waiting:
            waiter.note(self, result)


class Waiter(Generic[R]):
    """One request, and the flights that it waits for."""

    __slots__ = ("_error", "_wake", "compute", "joinable", "open", "results")

    def __init__(self, compute: Callable[[list[Flight[R]]], Awaitable[None]], *, joinable: bool = True) -> None:
        """Wait for nothing yet.

        Args:
            compute: lands flights or finds somebody who will; this request's own way, also where others wait as well.
            joinable: whether others may come to wait for what it has computed.
        """
        self.compute = compute
        self.joinable = joinable
        self.open: dict[Flight[R], None] = {}
        self.results: dict[bytes, R] = {}
        self._error: Exception | None = None
        self._wake: asyncio.Future[None] | None = None

    def board(self, flight: Flight[R]) -> None:
        """Wait for a flight too."""
        flight.waiting[self] = None
        self.open[flight] = None

    def leave(self, flight: Flight[R]) -> None:
        """Wait for a flight no longer."""
        flight.waiting.pop(self, None)
        self.open.pop(flight, None)
        self._wake_when_done()

    def leave_all(self) -> list[Flight[R]]:
        """Wait for nothing any more; returns the flights that were given up because nobody else waits for them."""
        withdrawals = set()
        for flight in list(self.open):
            self.leave(flight)
            if not flight.waiting and flight.withdraw is not None:
                withdrawals.add(flight.withdraw)
        return [flight for withdraw in withdrawals for flight in withdraw()]

    def note(self, flight: Flight[R], result: R | Exception) -> None:
        """Take what a flight brought."""
        self.open.pop(flight, None)
        if isinstance(result, Exception):
            self.fail(result)
        else:
            self.results[flight.key] = result
            self._wake_when_done()

    def fail(self, error: Exception) -> None:
        """End the waiting."""
        self._error = self._error or error
        self._wake_when_done()

    async def all(self) -> dict[bytes, R]:
        """The results of all flights, by key.

        Raises:
            Exception: what the first flight without a result brought instead; a copy, because others get it too.
        """
        if self.open and self._error is None:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        if self._error is not None:
            raise copy_of(self._error) from self._error
        return self.results

    def _wake_when_done(self) -> None:
        if self._wake is not None and not self._wake.done() and (self._error is not None or not self.open):
            self._wake.set_result(None)


def copy_of(error: Exception) -> Exception:
    """An error of the same type that says the same: one object raised in many tasks would gather all their tracebacks."""
    copied = type(error).__new__(type(error), *error.args)
    copied.args = error.args
    copied.__dict__.update(error.__dict__)
    return copied

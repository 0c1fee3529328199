"""Requests that wait for a call, and what one call carries of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from deployments.contract.embedding import Outcome
from deployments.contract.items import Item
from deployments.gateway.flight import Flight
from deployments.observability import tracing
from deployments.observability.request_record import Record
from models.errors import EngineError, EngineTimeoutError, UnavailableError

Arrived = Callable[[Flight[Outcome], Outcome | Exception], None]


@dataclass(slots=True, eq=False)
class WaitingRequest:
    """A request whose items wait, or are on their way in one or several calls.

    It may outlive whoever made it: an item stays while anybody waits for its flight, in the place that it has.
    """

    items: list[Item]
    costs: list[int]  # of each item
    flights: list[Flight[Outcome]]  # of each item
    arrived: Arrived  # called once for each item that has left, with what it came to
    hash: str | None  # of the artifact that must compute it; None: of whichever serves
    bulk: bool
    record: Record | None
    since: float  # monotonic seconds
    taken: int = 0  # items that have left, from the first on
    back: int = 0  # items of those that have arrived
    alone: bool = False  # it failed in company and leaves in a call of its own

    def note(self, index: int, outcome: Outcome) -> bool:
        """Pass on what an item came to; returns whether the last one was missing."""
        self.back += 1
        self.arrived(self.flights[index], outcome)
        return self.back == len(self.items)

    def part(self, indices: list[int]) -> WaitingRequest:
        """Some of its items as a request that leaves alone."""
        items, costs = [self.items[i] for i in indices], [self.costs[i] for i in indices]
        flights = [self.flights[i] for i in indices]
        return WaitingRequest(
            items, costs, flights, self.arrived, self.hash, self.bulk, self.record, self.since, alone=True
        )


@dataclass(slots=True)
class Batch:
    """What one call carries: items that the same artifact must compute."""

    rows: list[tuple[WaitingRequest, int]] = field(default_factory=list)  # each with the index of its item
    cost: int = 0

    @property
    def items(self) -> list[Item]:
        """The items of the call, a row each."""
        return [request.items[index] for request, index in self.rows]

    @property
    def hash(self) -> str | None:
        """The artifact that must compute it."""
        return self.rows[0][0].hash

    @property
    def alone(self) -> bool:
        """Whether nothing may be added."""
        return bool(self.rows) and self.rows[0][0].alone

    @property
    def bulk(self) -> bool:
        """Whether nobody waits for any of it."""
        return self.rows[0][0].bulk  # users' items come first

    def requests(self) -> dict[WaitingRequest, list[int]]:
        """The requests in the call, with the indices of their items in it."""
        found: dict[WaitingRequest, list[int]] = {}
        for request, index in self.rows:
            found.setdefault(request, []).append(index)
        return found

    def divided(self, error: Exception) -> Iterator[tuple[WaitingRequest, list[list[int]], set[int]]]:
        """Each request in the call after it failed: items that are sent again, and items that have failed.

        Of several requests, which one was at fault shows when each is sent alone. What an engine hung at is not sent again as
        it was: once more, each item by itself, so that one of them costs no more than another replica. Every list of items
        makes a call of its own, the last first.
        """
        requests = self.requests()
        at_fault = isinstance(error, EngineError) or not isinstance(error, UnavailableError)
        hung = isinstance(error, EngineTimeoutError)
        repeats = not self.alone if hung else len(requests) > 1 and at_fault
        for request, indices in requests.items():
            again = [i for i in indices if repeats and request.flights[i].waiting]
            parts = [[i] for i in reversed(again)] if hung else [again] if again else []
            yield request, parts, set(indices).difference(again)

    def trace(self, began: float) -> None:
        """Say how long the traced requests in the call waited, and whom it is for; the task's context is the call's own.

        Args:
            began: when the call did, in monotonic seconds.
        """
        spans = {request.record.span: request for request in self.requests() if request.record and request.record.span}
        for span, request in spans.items():
            tracing.stage("queue", span, request.since, began)
        tracing.CALLERS.set(tuple(spans))

    def suits(self, request: WaitingRequest) -> bool:
        """Whether a request may go along with those that are in the call."""
        return not self.rows or (request.hash == self.hash and not request.alone)

"""Requests that wait for a call, and which of their items the next call takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from deployments.contract.embedding import Outcome
from deployments.contract.items import Item
from deployments.gateway.flight import Flight
from deployments.observability.request_record import Record

QUANTUM = 16  # items that a request may put into a call before the next request's turn


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

    def suits(self, request: WaitingRequest) -> bool:
        """Whether a request may go along with those that are in the call."""
        return not self.rows or (request.hash == self.hash and not request.alone)


class Backlog:
    """Users' requests and bulk, in two queues; every one takes turns of ``QUANTUM`` items."""

    def __init__(self) -> None:
        """Start empty."""
        self.users: deque[WaitingRequest] = deque()
        self.bulk: deque[WaitingRequest] = deque()
        self.items = 0  # of both
        self.cost = 0
        self.bulk_cost = 0
        self._bulk_credit = 0.0  # cost of bulk that may leave beside users' items; grows while both wait

    def add(self, request: WaitingRequest, *, first: bool = False) -> None:
        """Queue a request, behind the others or before them."""
        queue = self._queue(request)
        queue.insert(0 if first else len(queue), request)
        self.items += len(request.items)
        self._count(request, sum(request.costs))

    @property
    def users_cost(self) -> int:
        """The cost of users' items."""
        return self.cost - self.bulk_cost

    def withdraw(self, request: WaitingRequest) -> list[Flight[Outcome]]:
        """Forget those items of a request that have not left and that nobody waits for; returns their flights."""
        rest = range(request.taken, len(request.items))
        kept = [i for i in rest if request.flights[i].waiting]
        gone = [request.flights[i] for i in rest if not request.flights[i].waiting]
        if not gone:
            return gone
        self.items -= len(gone)
        self._count(request, sum(request.costs[i] for i in kept) - sum(request.costs[request.taken :]))
        request.items[request.taken :] = [request.items[i] for i in kept]
        request.costs[request.taken :] = [request.costs[i] for i in kept]
        request.flights[request.taken :] = [request.flights[i] for i in kept]
        if not kept:
            self._queue(request).remove(request)
        return gone

    def take_bulk(self, call_cost: int) -> Batch:
        """Fill one call with bulk, which must wait."""
        batch = Batch()
        self._fill(batch, self.bulk, call_cost)
        self._bulk_credit = 0.0  # with calls of its own it needs no place in those of others
        self.items -= len(batch.rows)
        self.cost -= batch.cost
        self.bulk_cost -= batch.cost
        return batch

    def take(self, call_cost: int, bulk_share: float) -> Batch:
        """Fill one call with what users wait for; something must.

        Args:
            call_cost: of the call, at most; a first item may cost more.
            bulk_share: cost of bulk that is added for each cost of users' items, while both wait.
        """
        batch = Batch()
        self._fill(batch, self.users, call_cost)
        spent, bulk = batch.cost, 0
        if self.bulk:
            self._bulk_credit += bulk_share * spent
            self._fill(batch, self.bulk, spent + self._bulk_credit)
            bulk = batch.cost - spent
            self._bulk_credit -= bulk
        if not self.bulk:
            self._bulk_credit = 0.0
        self.items -= len(batch.rows)
        self.cost -= batch.cost
        self.bulk_cost -= bulk
        return batch

    def _fill(self, batch: Batch, queue: deque[WaitingRequest], limit: float) -> None:
        """Take items by turns up to a cost, so that a request of a thousand does not keep one of a single item waiting."""
        passed_over: list[WaitingRequest] = []
        while queue and not batch.alone:
            request = queue.popleft()
            if not batch.suits(request):
                passed_over.append(request)
            elif not _fill_from(batch, request, limit):
                queue.appendleft(request)
                break
            elif request.taken < len(request.items):
                queue.append(request)
        queue.extendleft(reversed(passed_over))

    def _count(self, request: WaitingRequest, cost: int) -> None:
        self.cost += cost
        if request.bulk:
            self.bulk_cost += cost

    def _queue(self, request: WaitingRequest) -> deque[WaitingRequest]:
        return self.bulk if request.bulk else self.users


def _fill_from(batch: Batch, request: WaitingRequest, limit: float) -> bool:
    """Take a request's turn of items; returns whether it was not cut short by the limit."""
    for _ in range(len(request.items) if request.alone else QUANTUM):
        cost = request.costs[request.taken]
        if batch.rows and batch.cost + cost > limit:
            return False
        batch.cost += cost
        batch.rows.append((request, request.taken))
        request.taken += 1
        if request.taken == len(request.items):
            break
    return True

"""All that waits for a version, and what the next call takes of it."""

from __future__ import annotations

from collections import deque

from deployments.contract.embedding import Outcome
from deployments.gateway.batch import Batch, WaitingRequest
from deployments.gateway.flight import Flight

QUANTUM = 16  # items that a request may put into a call before the next request's turn


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

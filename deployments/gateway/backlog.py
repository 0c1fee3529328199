"""Requests that wait for a call, and which of their items the next call takes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from deployments.contract.embedding import Outcome
from deployments.contract.items import Item
from deployments.observability.request_record import Record

QUANTUM = 16  # items that a request may put into a call before the next request's turn


@dataclass(slots=True, eq=False)
class WaitingRequest:
    """A request whose items wait, or are on their way in one or several calls."""

    items: list[Item]
    costs: list[int]  # of each item
    bulk: bool
    record: Record | None
    since: float  # monotonic seconds
    future: asyncio.Future[list[Outcome]]
    taken: int = 0  # items that have left, from the first on
    outcomes: dict[int, Outcome] = field(default_factory=dict)  # by the item's index

    def note(self, index: int, outcome: Outcome) -> bool:
        """Keep what an item came to; returns whether the last one was missing and the request now has its answer."""
        self.outcomes[index] = outcome
        if len(self.outcomes) < len(self.items) or self.future.done():
            return False
        self.future.set_result([self.outcomes[i] for i in range(len(self.items))])
        return True


@dataclass(slots=True)
class Batch:
    """What one call carries."""

    rows: list[tuple[WaitingRequest, int]] = field(default_factory=list)  # each with the index of its item
    cost: int = 0

    @property
    def items(self) -> list[Item]:
        """The items of the call, a row each."""
        return [request.items[index] for request, index in self.rows]

    def requests(self) -> Iterator[WaitingRequest]:
        """The requests in the call, each once."""
        yield from {id(request): request for request, _ in self.rows}.values()


class Backlog:
    """Users' requests and bulk, in two queues; every one takes turns of ``QUANTUM`` items."""

    def __init__(self) -> None:
        """Start empty."""
        self.users: deque[WaitingRequest] = deque()
        self.bulk: deque[WaitingRequest] = deque()
        self.items = 0  # of both
        self.cost = 0
        self._bulk_credit = 0.0  # cost of bulk that may leave beside users' items; grows while both wait

    def add(self, request: WaitingRequest) -> None:
        """Queue a request."""
        self._queue(request).append(request)
        self.items += len(request.items)
        self.cost += sum(request.costs)

    def drop(self, request: WaitingRequest) -> None:
        """Forget what has not left of a request."""
        if request in self._queue(request):
            self._queue(request).remove(request)
            self.items -= len(request.items) - request.taken
            self.cost -= sum(request.costs[request.taken :])

    def take(self, call_cost: int, bulk_share: float) -> Batch:
        """Fill one call; something must wait.

        Args:
            call_cost: of the call, at most; a first item may cost more.
            bulk_share: cost of bulk that is added for each cost of users' items, while both wait.
        """
        batch = Batch()
        self._fill(batch, self.users or self.bulk, call_cost)
        if self.bulk and not batch.rows[0][0].bulk:
            spent = batch.cost
            self._bulk_credit += bulk_share * spent
            self._fill(batch, self.bulk, spent + self._bulk_credit)
            self._bulk_credit -= batch.cost - spent
        if not self.bulk:
            self._bulk_credit = 0.0
        self.items -= len(batch.rows)
        self.cost -= batch.cost
        return batch

    def _fill(self, batch: Batch, queue: deque[WaitingRequest], limit: float) -> None:
        """Take items by turns up to a cost, so that a request of a thousand does not keep one of a single item waiting."""
        while queue:
            request = queue.popleft()
            for _ in range(QUANTUM):
                cost = request.costs[request.taken]
                if batch.rows and batch.cost + cost > limit:
                    queue.appendleft(request)
                    return
                batch.cost += cost
                batch.rows.append((request, request.taken))
                request.taken += 1
                if request.taken == len(request.items):
                    break
            else:
                queue.append(request)

    def _queue(self, request: WaitingRequest) -> deque[WaitingRequest]:
        return self.bulk if request.bulk else self.users

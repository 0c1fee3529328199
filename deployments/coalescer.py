"""Requests that wait for the same version leave as one call.

With nothing waiting, a request leaves at once; while the allowed calls are in flight, requests gather, and whatever
has gathered when a call returns leaves together. Coalescing is what makes many small requests cheap: the cost of a
call to a replica is paid once for all of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from deployments.wire import EncodeReply, Item, ItemError, Label
from models.errors import UnavailableError

logger = logging.getLogger("ray.serve")

Send = Callable[[list[Item]], Awaitable[EncodeReply]]
QUANTUM = 16  # items a request may put into a call before the next request's turn


@dataclass(slots=True)
class Outcome:
    """What one item came to: its vector's row in a reply, or its error."""

    reply: EncodeReply
    row: int

    @property
    def error(self) -> ItemError | None:
        """Why the item has no vector."""
        return self.reply.errors.get(self.row)

    @property
    def label(self) -> Label:
        """The artifact that computed it."""
        return self.reply.label


@dataclass(slots=True, eq=False)
class _Request:
    items: list[Item]
    future: asyncio.Future[list[Outcome]]
    next: int = 0  # first item that has not left
    outcomes: dict[int, Outcome] = field(default_factory=dict)


class Coalescer:
    """The queue of one version."""

    def __init__(self, send: Send, cost: Callable[[Item], int]) -> None:
        """Build an idle queue.

        Args:
            send: makes one call to a replica.
            cost: the work of an item, in the unit of ``call_cost``.
        """
        self._send = send
        self._cost = cost
        self._waiting: deque[_Request] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self.waiting_items = 0
        self.max_waiting = 1
        self.max_calls = 1
        self.call_cost = 1

    async def submit(self, items: list[Item]) -> list[Outcome]:
        """Queue the items of one request and wait for all of them.

        Raises:
            UnavailableError: the queue is full; nothing was queued.
        """
        if self.waiting_items and self.waiting_items + len(items) > self.max_waiting:
            raise UnavailableError(
                f"the service is at capacity: {self.waiting_items} inputs wait already (limit {self.max_waiting})"
            )
        request = _Request(items, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self.waiting_items += len(items)
        self._pump()
        try:
            return await request.future
        except asyncio.CancelledError:
            self._forget(request)
            raise

    def _forget(self, request: _Request) -> None:
        """Drop what has not left of a request whose client has gone."""
        if request in self._waiting:
            self._waiting.remove(request)
            self.waiting_items -= len(request.items) - request.next

    def _pump(self) -> None:
        while self._waiting and len(self._tasks) < self.max_calls:
            task = asyncio.ensure_future(self._call(self._take()))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._pump()

    def _take(self) -> list[tuple[_Request, int]]:
        """Fill a call by turns, so that a request of a thousand items does not keep one of a single item waiting."""
        taken: list[tuple[_Request, int]] = []
        cost = 0
        while self._waiting:
            request = self._waiting.popleft()
            for _ in range(QUANTUM):
                cost += self._cost(request.items[request.next])
                if taken and cost > self.call_cost:
                    self._waiting.appendleft(request)
                    self.waiting_items -= len(taken)
                    return taken
                taken.append((request, request.next))
                request.next += 1
                if request.next == len(request.items):
                    break
            else:
                self._waiting.append(request)
        self.waiting_items -= len(taken)
        return taken

    async def _call(self, taken: list[tuple[_Request, int]]) -> None:
        try:
            reply = await self._send([request.items[index] for request, index in taken])
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever a call raises belongs to the requests in it, not to this loop
            for request in {id(request): request for request, _ in taken}.values():
                self._forget(request)
                if not request.future.done():
                    request.future.set_exception(error)
            return
        for row, (request, index) in enumerate(taken):
            request.outcomes[index] = Outcome(reply, row)
            if len(request.outcomes) == len(request.items) and not request.future.done():
                request.future.set_result([request.outcomes[i] for i in range(len(request.items))])

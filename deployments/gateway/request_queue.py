"""Requests that wait for the same version leave as one call.

While a replica has nothing to do, a request leaves at once. While each has a call under way, requests gather until they are
worth another one beside it, and while the allowed calls are under way, until one returns; whatever has gathered leaves
together. Coalescing is what makes many small requests cheap: the cost of a call to a replica is paid once for all of
them.

Bulk, which nobody waits for, leaves in calls of its own while nothing else waits, never in all the calls allowed, and in
small portions while something does. It is refused first.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from contextvars import ContextVar
from dataclasses import dataclass, field
from statistics import median

from deployments.contract.types import EncodeReply, Item, ItemError, Label
from deployments.observability import tracing
from deployments.observability.request_record import RECORD, Record
from models.errors import UnavailableError

Send = Callable[[list[Item]], Awaitable[EncodeReply]]
BULK: ContextVar[bool] = ContextVar("bulk", default=False)  # the request's priority goes with its task, as its deadline
SAMPLES = 15  # calls whose median is the pace: half of them may be outliers
QUANTUM = 16  # items a request may put into a call before the next request's turn
# Of the largest call under way, what must have gathered for another one beside it. 32 clients of one short text each on 2
# cores made calls of 9 texts on average, two fifths of them of 4 or fewer; gathered so, 2 to 6 % more texts are served in
# int8 and 4 to 11 % more in fp32.
WORTH = 0.5
TIMER_S = 0.001  # what the event loop's timers can tell apart


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
    bulk: bool
    record: Record | None
    since: float  # monotonic seconds
    next: int = 0  # first item that has not left
    outcomes: dict[int, Outcome] = field(default_factory=dict)


class Pace:
    """How fast calls come back while others wait: the median of the last calls' seconds per cost."""

    def __init__(self) -> None:
        """Know nothing; what nobody waited for says little of the speed that replicas have when many do."""
        self.seconds_per_cost = 0.0  # 0 until enough calls came back: one slow start says nothing
        self._last = 0.0
        self._samples: deque[float] = deque(maxlen=SAMPLES)

    def note(self, began: float, ended: float, cost: int, *, crowded: bool) -> None:
        """Take a call that came back: its times in monotonic seconds, and whether inputs waited then."""
        took = ended - max(began, self._last)  # calls overlap: what counts is the time since the one before
        self._last = ended
        if crowded:
            self._samples.append(took / max(cost, 1))
            if len(self._samples) == SAMPLES:
                self.seconds_per_cost = median(self._samples)


def worth_a_call(waiting: int, under_way: Collection[int], replicas: int, waited_s: float, gather_s: float) -> bool:
    """Whether what waits should leave now, beside the calls that are under way, or gather on.

    Args:
        waiting: its cost.
        under_way: the cost of each call under way.
        replicas: that share those calls.
        waited_s: how long the first of the requests has waited.
        gather_s: how long it may, at most, for the sake of a larger call.
    """
    return len(under_way) < replicas or waiting >= WORTH * max(under_way) or waited_s >= gather_s


class RequestQueue:
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
        self._bulk: deque[_Request] = deque()
        self._credit = 0.0  # cost of bulk that may leave beside others; grows while both wait
        self._under_way: dict[asyncio.Task[None], int] = {}  # calls, and their cost
        self._pumping = False  # soon
        self._timer: asyncio.TimerHandle | None = None  # for requests that have gathered long enough then
        self.waiting_items = 0  # of both kinds
        self.waiting_cost = 0
        self.refused_cost = 0  # since the last call; it tells the autoscaler what queues do not show
        self._pace = Pace()
        self.max_wait_s = math.inf  # of work that may wait
        self.max_waiting = 1
        self.bulk_waiting = 1.0  # part of max_waiting above which bulk is refused
        self.bulk_share = 1.0  # cost of bulk for each cost of others that leaves while bulk waits
        self.replicas = 1
        self.gather_s = 0.0
        self.max_calls = 1
        self.call_cost = 1

    async def submit(self, items: list[Item]) -> list[Outcome]:
        """Queue the items of one request, as bulk where ``BULK`` says so, and wait for all of them.

        Raises:
            UnavailableError: the queue is full; nothing was queued.
        """
        bulk = BULK.get()
        limit = int(self.max_waiting * self.bulk_waiting) if bulk else self.max_waiting
        kind = " for bulk" if bulk else ""
        if self.waiting_items and self.waiting_items + len(items) > limit:
            self.refused_cost += sum(map(self._cost, items))
            raise UnavailableError(
                f"the service is at capacity: {self.waiting_items} inputs wait already (limit {limit}{kind})"
            )
        wait_s = self.waiting_cost * self._pace.seconds_per_cost
        longest_s = self.max_wait_s * (self.bulk_waiting if bulk else 1)
        if wait_s > longest_s:
            self.refused_cost += sum(map(self._cost, items))
            raise UnavailableError(
                f"the service is at capacity: {wait_s:.2f} s of work wait already (limit {longest_s:g} s{kind})"
            )
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Outcome]] = loop.create_future()
        request = _Request(items, future, bulk, RECORD.get(), time.monotonic())
        self._queue(request).append(request)
        self.waiting_items += len(items)
        self.waiting_cost += sum(map(self._cost, items))
        if not self._pumping:  # after whatever else the loop has read by now, so that it leaves in the same call
            self._pumping = True
            loop.call_soon(self._pump)
        try:
            return await request.future
        except asyncio.CancelledError:
            self._forget(request)
            raise

    def _forget(self, request: _Request) -> None:
        """Drop what has not left of a request whose client has gone."""
        if request in self._queue(request):
            self._queue(request).remove(request)
            self.waiting_items -= len(request.items) - request.next
            self.waiting_cost -= sum(map(self._cost, request.items[request.next :]))

    def _queue(self, request: _Request) -> deque[_Request]:
        return self._bulk if request.bulk else self._waiting

    def _pump(self) -> None:
        self._pumping = False
        while self._may_send():
            taken = self._take()
            cost = sum(self._cost(request.items[index]) for request, index in taken)
            task = asyncio.ensure_future(self._call(taken, cost))
            self._under_way[task] = cost
            task.add_done_callback(self._done)

    def _may_send(self) -> bool:
        free = self.max_calls - len(self._under_way)
        if not self._waiting:
            # The last call is kept for whoever comes next and is waited for.
            return bool(self._bulk) and free > min(1, self.max_calls - 1)
        return free > 0 and self._gathered()

    def _gathered(self) -> bool:
        """Whether what waits is worth a call; if not, it is looked at again when it has waited long enough."""
        waited_s = time.monotonic() - self._waiting[0].since
        worth = worth_a_call(self.waiting_cost, self._under_way.values(), self.replicas, waited_s, self.gather_s)
        if not worth and self._timer is None:
            left_s = max(self.gather_s - waited_s, TIMER_S)
            self._timer = asyncio.get_running_loop().call_later(left_s, self._look_again)
        return worth

    def _look_again(self) -> None:
        self._timer = None
        self._pump()

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._pump()

    def _take(self) -> list[tuple[_Request, int]]:
        """Fill a call; when bulk waits beside others, with as much of it as its share has come to."""
        taken: list[tuple[_Request, int]] = []
        spent = self._fill(taken, self._waiting or self._bulk, self.call_cost)
        if self._bulk and not taken[0][0].bulk:
            self._credit += self.bulk_share * spent
            self._credit -= self._fill(taken, self._bulk, self._credit)
        if not self._bulk:
            self._credit = 0.0
        self.waiting_items -= len(taken)
        return taken

    def _fill(self, taken: list[tuple[_Request, int]], queue: deque[_Request], budget: float) -> int:
        """Take items by turns, so that a request of a thousand does not keep one of a single item waiting.

        Returns:
            Their cost: at most ``budget``, or more for the first item of a call.
        """
        spent = 0
        while queue:
            request = queue.popleft()
            for _ in range(QUANTUM):
                cost = self._cost(request.items[request.next])
                if taken and spent + cost > budget:
                    queue.appendleft(request)
                    return spent
                spent += cost
                self.waiting_cost -= cost
                taken.append((request, request.next))
                request.next += 1
                if request.next == len(request.items):
                    break
            else:
                queue.append(request)
        return spent

    async def _call(self, taken: list[tuple[_Request, int]], cost: int) -> None:
        began = time.monotonic()
        if tracing.on():
            _trace(taken, began)
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
        self._pace.note(began, time.monotonic(), cost, crowded=self.waiting_items > 0)
        for row, (request, index) in enumerate(taken):
            request.outcomes[index] = Outcome(reply, row)
            if len(request.outcomes) == len(request.items) and not request.future.done():
                if request.record is not None:
                    request.record.passed(began - request.since, reply.stages)
                request.future.set_result([request.outcomes[i] for i in range(len(request.items))])


def _trace(taken: list[tuple[_Request, int]], began: float) -> None:
    """Say how long the traced requests in a call waited, and whom it is for; this task's context is the call's own."""
    requests = {id(request): request for request, _ in taken}.values()
    spans = {request.record.span: request for request in requests if request.record and request.record.span}
    for span, request in spans.items():
        tracing.stage("queue", span, request.since, began)
    tracing.CALLERS.set(tuple(spans))

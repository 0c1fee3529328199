"""Dynamic batching: requests that wait for the same version leave as one call, whose cost is paid once for all of them.

While a replica has nothing to do, a request leaves at once. While each replica has a call under way, requests gather until
they are worth another call beside those. While all the allowed calls are under way, requests gather until one returns.

Bulk is what nobody waits for. It leaves in calls of its own while nothing else waits, and never in all the calls allowed;
while users' requests wait, it leaves in small portions beside them. It is refused first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from deployments.contract.embedding import Outcome
from deployments.contract.items import Item
from deployments.contract.reply import EncodeReply
from deployments.gateway.backlog import Backlog, Batch, WaitingRequest
from deployments.gateway.pace import Pace
from deployments.gateway.queue_settings import QueueSettings
from deployments.observability import tracing
from deployments.observability.request_record import RECORD
from models.errors import UnavailableError

Send = Callable[[list[Item], int], Awaitable[EncodeReply]]  # the items of one call, and their cost
TIMER_S = 0.001  # the shortest time that the event loop's timers can tell apart


class RequestQueue:
    """The queue of one version."""

    def __init__(self, send: Send, cost: Callable[[Item], int], settings: QueueSettings) -> None:
        """Build an idle queue.

        Args:
            send: makes one call to a replica.
            cost: the work of an item, in the unit of the settings' costs.
            settings: in force until ``configure`` brings others.
        """
        self._send = send
        self._cost = cost
        self._settings = settings
        self._backlog = Backlog()
        self._pace = Pace()
        self._refused_cost = 0
        self._under_way: dict[asyncio.Task[None], int] = {}  # calls, and their cost
        self._pump_is_due = False
        self._timer: asyncio.TimerHandle | None = None  # for requests that will have gathered long enough then

    def configure(self, settings: QueueSettings) -> None:
        """Put other settings in force, from the next request and the next call on."""
        self._settings = settings

    @property
    def waiting_items(self) -> int:
        """Items that have not left, bulk included."""
        return self._backlog.items

    @property
    def waiting_cost(self) -> int:
        """Their cost."""
        return self._backlog.cost

    def take_refused_cost(self) -> int:
        """Cost of what was refused since this was last asked; it tells the autoscaler what queues do not show."""
        refused, self._refused_cost = self._refused_cost, 0
        return refused

    async def submit(self, items: list[Item], *, bulk: bool = False) -> list[Outcome]:
        """Queue the items of one request and wait for all of them.

        Returns:
            What each item came to, in order.

        Raises:
            UnavailableError: the queue is full and nothing was queued, or no replica answered.
        """
        costs = [self._cost(item) for item in items]
        wait_s = self._backlog.cost * self._pace.seconds_per_cost
        reason = self._settings.refusal(len(items), self._backlog.items, wait_s, bulk=bulk)
        if reason is not None:
            self._refused_cost += sum(costs)
            raise UnavailableError(f"the service is at capacity: {reason}")
        loop = asyncio.get_running_loop()
        request = WaitingRequest(items, costs, bulk, RECORD.get(), time.monotonic(), loop.create_future())
        self._backlog.add(request)
        if not self._pump_is_due:  # after whatever else the loop has read by now, so that it leaves in the same call
            self._pump_is_due = True
            loop.call_soon(self._pump)
        try:
            return await request.future
        except asyncio.CancelledError:
            self._backlog.drop(request)
            raise

    def _pump(self) -> None:
        """Send what may leave."""
        self._pump_is_due = False
        while self._may_send():
            batch = self._backlog.take(self._settings.call_cost, self._settings.bulk_share)
            task = asyncio.ensure_future(self._call(batch))
            self._under_way[task] = batch.cost
            task.add_done_callback(self._done)

    def _may_send(self) -> bool:
        if self._backlog.users:
            return self._settings.may_call(len(self._under_way)) and self._gathered()
        return bool(self._backlog.bulk) and self._settings.may_call_for_bulk(len(self._under_way))

    def _gathered(self) -> bool:
        """Whether what waits is worth a call; if not, it is looked at again when it has waited long enough."""
        waited_s = time.monotonic() - self._backlog.users[0].since
        worth = self._settings.worth_a_call(self._backlog.cost, self._under_way.values(), waited_s)
        if not worth and self._timer is None:
            left_s = max(self._settings.gather_s - waited_s, TIMER_S)
            self._timer = asyncio.get_running_loop().call_later(left_s, self._look_again)
        return worth

    def _look_again(self) -> None:
        self._timer = None
        self._pump()

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._pump()

    async def _call(self, batch: Batch) -> None:
        began = time.monotonic()
        if tracing.on():
            _trace(batch, began)
        try:
            reply = await self._send(batch.items, batch.cost)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever a call raises belongs to the requests in it, not to this loop
            for request in batch.requests():
                self._backlog.drop(request)
                if not request.future.done():
                    request.future.set_exception(error)
            return
        self._pace.note(began, time.monotonic(), batch.cost, backlog=self._backlog.items > 0)
        for row, (request, index) in enumerate(batch.rows):
            if request.note(index, reply.outcome(row)) and request.record is not None:
                request.record.passed(began - request.since, reply.stages)


def _trace(batch: Batch, began: float) -> None:
    """Say how long the traced requests in a call waited, and whom it is for; this task's context is the call's own."""
    spans = {request.record.span: request for request in batch.requests() if request.record and request.record.span}
    for span, request in spans.items():
        tracing.stage("queue", span, request.since, began)
    tracing.CALLERS.set(tuple(spans))

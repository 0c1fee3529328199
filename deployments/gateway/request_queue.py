"""Dynamic batching: requests that wait for the same version leave as one call, whose cost is paid once for all of them.

While a replica has nothing to do, a request leaves at once. While each replica has a call under way, requests gather until
they are worth another call beside those. While all the allowed calls are under way, requests gather until one returns.

Bulk is what nobody waits for. It leaves in calls of its own while nothing else waits and a replica has nothing else to do;
encoders let users' calls pass them, and they are small while there are users. While users' requests wait, it leaves in
small portions beside them. It is refused first.

A call is nobody's own: it goes on when a request in it is gone, and when it fails, its requests are tried one by one.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial

from deployments.contract.embedding import Outcome
from deployments.contract.items import Item
from deployments.contract.reply import EncodeReply
from deployments.gateway.backlog import Backlog
from deployments.gateway.batch import Arrived, Batch, WaitingRequest
from deployments.gateway.flight import Flight
from deployments.gateway.pace import Pace
from deployments.gateway.queue_settings import QueueSettings
from deployments.observability import tracing
from deployments.observability.request_record import Record
from deployments.rpc.detached import detached
from models.errors import UnavailableError

Send = Callable[[Batch], Awaitable[EncodeReply]]  # one call
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
        self._under_way: dict[asyncio.Task[None], int] = {}  # calls for users, and their cost
        self._bulk_under_way: set[asyncio.Task[None]] = set()
        self._used_at = -math.inf  # when a user asked last
        self._freed_at = -math.inf  # when a call ended while no other was allowed
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

    def enqueue(
        self,
        items: list[Item],
        flights: list[Flight[Outcome]],
        arrived: Arrived,
        *,
        hash_: str | None = None,
        bulk: bool = False,
        record: Record | None = None,
    ) -> None:
        """Queue items, which then are computed as long as anybody waits for their flights.

        Args:
            items: of one request.
            flights: of each item; they can be withdrawn from now on.
            arrived: called with a flight and what it came to, also where nobody waits for it any more.
            hash_: of the artifact that must compute the items; None leaves it to whichever serves.
            bulk: whether nobody waits for the answer.
            record: of the request, told where the time went.

        Raises:
            UnavailableError: the queue is full and nothing was queued.
        """
        costs = [self._cost(item) for item in items]
        wait_s = self._backlog.cost * self._pace.seconds_per_cost
        reason = self._settings.refusal(len(items), self._backlog.items, wait_s, bulk=bulk)
        if reason is not None:
            self._refused_cost += sum(costs)
            raise UnavailableError(f"the service is at capacity: {reason}", retry_after_s=wait_s)
        now = time.monotonic()
        self._add(WaitingRequest(items, costs, flights, arrived, hash_, bulk, record, now))
        if not bulk:
            self._used_at = now
        self._pump_soon()

    def _pump_soon(self) -> None:
        """Send after whatever else the loop has read by now, so that it leaves in the same call."""
        if not self._pump_is_due:
            self._pump_is_due = True
            asyncio.get_running_loop().call_soon(self._pump, context=Context())  # its calls are nobody's own

    def _pump(self) -> None:
        """Send what may leave."""
        self._pump_is_due = False
        while self._backlog.users and self._settings.may_call(len(self._under_way)) and self._gathered():
            most = self._settings.largest_call(len(self._backlog.users), self._backlog.users_cost)
            batch = self._backlog.take(most, self._settings.bulk_share)
            task = detached(self._call(batch))
            self._under_way[task] = batch.cost
            task.add_done_callback(self._done)
        while self._may_send_bulk():
            largest = self._settings.bulk_call_cost(time.monotonic() - self._used_at)
            task = detached(self._call(self._backlog.take_bulk(largest)))
            self._bulk_under_way.add(task)
            task.add_done_callback(self._done)

    def _may_send_bulk(self) -> bool:
        waits = bool(self._backlog.bulk) and not self._backlog.users
        return waits and self._settings.may_call_for_bulk(len(self._under_way), len(self._bulk_under_way))

    def _gathered(self) -> bool:
        """Whether what waits is worth a call; if not, it is looked at again when it has waited long enough."""
        # Who waited while no call was free for it waits on for those whom the last one answered: they ask again within milliseconds.
        waited_s = time.monotonic() - max(self._backlog.users[0].since, self._freed_at)
        worth = self._settings.worth_a_call(self._backlog.users_cost, self._under_way.values(), waited_s)
        if not worth and self._timer is None:
            left_s = max(self._settings.gather_s - waited_s, TIMER_S)
            self._timer = asyncio.get_running_loop().call_later(left_s, self._look_again)
        return worth

    def _look_again(self) -> None:
        self._timer = None
        self._pump()

    def _done(self, task: asyncio.Task[None]) -> None:
        if not self._settings.may_call(len(self._under_way)):
            self._freed_at = time.monotonic()
        self._under_way.pop(task, None)
        self._bulk_under_way.discard(task)
        self._pump()

    async def _call(self, batch: Batch) -> None:
        began = time.monotonic()
        if tracing.on():
            batch.trace(began)
        try:
            reply = await self._send(batch)
            outcomes = reply.outcomes(len(batch.rows))
        except asyncio.CancelledError:  # Serve's, or of this task: whoever waits must hear of it
            self._failed(batch, UnavailableError("the call was given up; try again"))
            raise
        except Exception as error:  # whatever a call raises belongs to the requests in it, not to this loop
            self._failed(batch, error)
            return
        self._pace.note(began, time.monotonic(), batch.cost, backlog=self._backlog.items > 0)
        for (request, index), outcome in zip(batch.rows, outcomes, strict=True):
            if request.note(index, outcome) and request.record is not None:
                request.record.passed(began - request.since, reply.stages)

    def _failed(self, batch: Batch, error: Exception) -> None:
        """Send again what may come to something; the rest has failed."""
        for request, parts, failed in batch.divided(error):
            for part in parts:
                self._add(request.part(part), first=True)
            for index in failed:
                request.arrived(request.flights[index], error)

    def _add(self, request: WaitingRequest, *, first: bool = False) -> None:
        withdraw = partial(self._backlog.withdraw, request)
        for flight in request.flights:
            flight.withdraw = withdraw
        self._backlog.add(request, first=first)

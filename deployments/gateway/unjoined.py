"""Requests of the gateway's own, which nobody else joins: their items go to a version's queue as they are."""

from __future__ import annotations

from deployments.contract.embedding import Outcome
from deployments.contract.items import Item
from deployments.gateway.flight import Flight, Waiter
from deployments.gateway.request_queue import RequestQueue


async def submit(queue: RequestQueue, items: list[Item], *, bulk: bool = False) -> list[Outcome]:
    """Queue the items of one request that nobody joins, and wait for all of them.

    Returns:
        What each item came to, in order.

    Raises:
        UnavailableError: the queue is full and nothing was queued, or no replica answered.
    """
    flights: list[Flight[Outcome]] = [Flight(b"%d" % number) for number in range(len(items))]

    async def enqueue(_: list[Flight[Outcome]]) -> None:
        queue.enqueue(list(items), list(flights), Flight.land, bulk=bulk)

    waiter: Waiter[Outcome] = Waiter(enqueue)
    for flight in flights:
        waiter.board(flight)
    try:
        await waiter.compute(flights)
        results = await waiter.all()
        return [results[flight.key] for flight in flights]
    finally:
        waiter.leave_all()

"""How requests wait for a version and leave together."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from deployments.config.base import Strict


class Queue(Strict):
    """How requests wait for a version and leave together."""

    # Per gateway, a quarter of a second's work of 2 cores; beyond it 503 before a request is read. Each node's HAProxy
    # refuses beyond the same number (`haproxy_lines.py`); this one counts where several of them ask the same gateway.
    open_requests: Annotated[int, Field(ge=1)] = 256
    # Seconds that a request takes while others are refused because `open_requests` are all taken: fewer are let in then, by the rate of answers, so
    # that who is let in is answered soon. none: all wait. A request that is alone takes 4 to 10 ms; fewer than `crowd.LEAST`
    # would leave batches empty. Requests that take half a second or more do not count.
    crowded_s: Annotated[float, Field(gt=0)] | None = 0.04
    # Per version: 2 lists of the largest size; beyond it 503, however fast the encoders.
    waiting_items: Annotated[int, Field(ge=1)] = 4096
    # Seconds of queued work beyond which 503; none: callers' deadlines decide.
    waiting_s: Annotated[float, Field(gt=0)] | None = None
    # Share of both limits that bulk may fill; the rest is kept for users.
    bulk_waiting: Annotated[float, Field(gt=0, le=1)] = 0.5
    # Share of the work that bulk gets while users wait, so that it does not starve.
    bulk_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    # Tokens of text in one call. 2,048 serve 15 % more texts where lists of 16 wait for each other (bf16, 2 cores), and a single text
    # waits behind them for twice as long: calls grow to that by themselves while many requests wait.
    call_cost: Annotated[int, Field(ge=1)] = 1024
    call_images: Annotated[int, Field(ge=1)] = 8  # images in one call; a larger batch is no faster per image
    calls_per_replica: Annotated[int, Field(ge=1)] = 2  # in flight: one computes while the next is tokenised or decoded
    # The longest that dynamic batching holds back a small call to fill it, and only while every replica has work. 5 ms
    # and 20 ms serve as many requests per second: the call is full, or a replica idle, before either has passed.
    gather_s: Annotated[float, Field(ge=0, le=1)] = 0.01
    # The deadline of a request that brings none; above engine_timeout_s, so that who shared a call with what hangs is answered.
    timeout_s: Annotated[float, Field(gt=0)] = 30.0
    # The longest deadline that a caller gets, whatever it asks for: while it waits it keeps one of `open_requests`. Ten
    # times the usual; a cold start takes a tenth of it. A longer `timeout_s` counts for everybody.
    timeout_most_s: Annotated[float, Field(gt=0)] = 300.0

"""How requests wait for a version and leave together."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from deployments.config.base import Strict


class Queue(Strict):
    """How requests wait for a version and leave together."""

    # Per gateway; beyond it 503, before a request is read. A quarter of a second's work of 2 cores. HAProxy refuses beyond
    # the same number (`haproxy_lines.py`), so that this one counts where several nodes' HAProxies ask the same gateway.
    open_requests: Annotated[int, Field(ge=1)] = 256
    waiting_items: Annotated[int, Field(ge=1)] = 4096  # per version; beyond it 503, whatever is known of the speed
    waiting_s: Annotated[float, Field(gt=0)] | None = None  # of work at the measured speed; none: callers know best
    bulk_waiting: Annotated[float, Field(gt=0, le=1)] = 0.5  # part of both for bulk; the rest is kept for users
    bulk_share: Annotated[float, Field(gt=0, le=1)] = 0.1  # of the work while users wait, so that bulk goes on
    call_cost: Annotated[int, Field(ge=1)] = 1024  # tokens (text) in one call: above it a batch gains no speed
    call_images: Annotated[int, Field(ge=1)] = 8  # images in one call, for the same reason
    calls_per_replica: Annotated[int, Field(ge=1)] = 2  # one that computes and one that is prepared meanwhile
    # At most, for requests that would otherwise leave in a small call beside a large one; while a replica has nothing to do,
    # nobody waits. With 5 ms and 20 ms as many are served: what they wait for is there before either.
    gather_s: Annotated[float, Field(ge=0, le=1)] = 0.01
    timeout_s: Annotated[float, Field(gt=0)] = 30.0  # a request's deadline when it brings none

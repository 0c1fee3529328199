"""What a gateway tells an encoder with each call."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Queued:
    """Work that the encoder does not hold yet, which the autoscaler must see too, and which artifact is to do it.

    New fields come last and are optional: an encoder of an earlier release then ignores them.
    """

    gateway: str  # which gateway process says so
    cost: int  # of this call: tokens or pictures, as the gateway counts them
    waiting: int  # cost of what waits for the same version in that gateway
    refused: int = 0  # cost of what that gateway refused for lack of capacity since its last call
    trace: tuple[str, ...] = ()  # W3C traceparents of the call and of its requests, where they are traced
    # Of the artifact that must compute it, or its label's identity where the numerics class must be the same too; None
    # leaves it to whichever serves.
    hash: str | None = None
    alone: bool = False  # an engine failed or hung at it in company: it must run without any
    bulk: bool = False  # nobody waits for it: what others ask for passes it

"""Which of the fast ways around Ray Serve's public API a gateway takes."""

from __future__ import annotations

from deployments.config.base import Strict


class Internals(Strict):
    """Switches of `docs/serve_internals.md`. All off: the same answers through public Serve, at a lower rate.

    A change takes effect in place. What is decided when a node starts has its switch in the environment instead
    (``EMBEDSERVE_INTERNALS``), which can also switch off these three.
    """

    http_shortcut: bool = True  # on: Serve's handling of a request costs a third of the gateway's time for it
    single_write: bool = True  # on: head and body in two writes cost a tenth of the gateway's time for a request
    connections: bool = True  # on: a call over a connection of our own costs a tenth of one through Serve's handle

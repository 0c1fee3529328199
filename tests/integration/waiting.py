"""Waiting for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 120.0
# Between looks: a twentieth of what has been waited, since what Serve answers takes the processors that are waited for.
SHORTEST_S, LONGEST_S, PART = 0.1, 0.5, 0.05


def wait(what: str | Callable[[], str], holds: Callable[[], bool], timeout_s: float = PATIENCE_S) -> float:
    """Look until it holds; returns for how many seconds it did not.

    Args:
        what: is waited for; may say when time has run out how far it came.
        holds: looks.
        timeout_s: in which it must hold.
    """
    begin = time.monotonic()
    while not holds():
        waited = time.monotonic() - begin
        assert waited < timeout_s, f"{what if isinstance(what, str) else what()}: not within {timeout_s:g} s"
        time.sleep(min(LONGEST_S, max(SHORTEST_S, waited * PART)))
    return time.monotonic() - begin

"""Waiting for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 120.0
POLL_S = 0.1


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
        time.sleep(POLL_S)
    return time.monotonic() - begin

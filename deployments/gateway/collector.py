"""How often Python's collector of cycles walks a gateway's objects."""

from __future__ import annotations

import gc
from typing import Final

# Objects between two collections of the youngest. Requests leave no cycles behind, while the cache's entries are walked again
# and again: with Python's 700 the collector takes a twentieth of the gateway's time, and with 2,560 slow connections a third.
THRESHOLD: Final = 10_000


def calm() -> None:
    """Let it look seldom, and never again at what is there now."""
    gc.set_threshold(THRESHOLD)
    gc.collect()
    gc.freeze()

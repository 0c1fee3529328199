"""Returns memory of unloaded models to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc


def release() -> None:
    """Collect garbage and return free heap pages to the system; glibc would keep them.

    Measured on int8 MiniLM: without it, memory after twenty cycles of loading and unloading is 24 % above the first.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # musl and macOS have no malloc_trim
        ctypes.CDLL(None).malloc_trim(0)

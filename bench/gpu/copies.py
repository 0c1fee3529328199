"""How fast inputs get to the card, from pinned and from pageable memory, and how much of it two slots hide."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from bench.gpu.probe import batches, rate
from models.embedder import Embedder
from models.engine import pinned as pinning
from models.engine.card_engine import DEVICES, SLOTS
from models.engine.providers import CPU

REPEATS = 20


@dataclass(frozen=True)
class Copies:
    """What was measured of one batch."""

    batch: int
    megabytes: float  # of its inputs
    pageable: float  # GB/s
    pinned: float  # GB/s
    timed_by: str  # "CUDA events", or "the clock" where no card is
    one: float  # inputs per second with one run at a time
    two: float  # with a run in each slot
    hidden: float  # share of the copies' time that the second slot hides


def copies(embedder: Embedder, tokens: int, size: int, seconds: float) -> Copies:
    """Measure one batch."""
    device = DEVICES.get(embedder.engine.provider, DEVICES[CPU])
    shape, dtype = _inputs(embedder, tokens, size)
    target = ort.OrtValue.ortvalue_from_shape_and_type(list(shape), dtype.type, device, 0)
    timer = Timer()
    pageable = timer.seconds(target, np.ones(shape, dtype))
    pinned = timer.seconds(target, pinning.pinned(shape, dtype))
    run = batches(embedder, tokens)(size)
    one, two = (rate(run, size, seconds, callers) for callers in (1, SLOTS))
    saved = size / one - size / two
    nbytes = int(np.prod(shape)) * dtype.itemsize
    return Copies(
        size,
        nbytes / 1e6,
        nbytes / pageable / 1e9,
        nbytes / pinned / 1e9,
        timer.name,
        one,
        two,
        max(0.0, min(1.0, saved / pinned)),
    )


def _inputs(embedder: Embedder, tokens: int, size: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    shape = getattr(embedder, "shape", None)
    return ((size, tokens), np.dtype(np.int64)) if shape is None else ((size, *shape), np.dtype(np.uint8))


class Timer:
    """Times copies by CUDA's events on the stream that copies, or by the clock where there is no CUDA."""

    def __init__(self) -> None:
        """Look for CUDA's runtime, which a session on a card has loaded."""
        self._cuda = pinning._runtime()  # noqa: SLF001 - the same library
        self.name = "the clock" if self._cuda is None else "CUDA events"

    def seconds(self, target: ort.OrtValue, source: NDArray[Any]) -> float:
        """Of one copy, the median of several."""
        found = []
        for _ in range(REPEATS):
            found.append(self._once(lambda: target.update_inplace(source)))
        return float(np.median(found))

    def _once(self, work: Callable[[], object]) -> float:
        if self._cuda is None:
            began = time.perf_counter()
            work()
            return time.perf_counter() - began
        begin, end = ctypes.c_void_p(), ctypes.c_void_p()
        for event in (begin, end):
            self._call("cudaEventCreate", ctypes.byref(event))
        self._call("cudaEventRecord", begin, None)
        work()
        self._call("cudaEventRecord", end, None)
        self._call("cudaEventSynchronize", end)
        milliseconds = ctypes.c_float()
        self._call("cudaEventElapsedTime", ctypes.byref(milliseconds), begin, end)
        for event in (begin, end):
            self._call("cudaEventDestroy", event)
        return milliseconds.value / 1e3

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._cuda, name)(*arguments)
        if code:
            raise RuntimeError(f"{name}: {code}")

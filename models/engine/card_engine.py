"""Runs a graph in fixed shapes with buffers that are kept, as a card needs it. On a CPU it gives the same bits."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.engine.buckets import Buckets, cut, pad
from models.engine.card_trouble import Trouble
from models.engine.pinned import pinned
from models.engine.providers import CPU, CUDA, TENSORRT
from models.engine.types import Feeds

SLOTS = 2  # runs at a time: while one computes, the inputs of the other are copied
DEVICES = {CPU: "cpu", CUDA: "cuda", TENSORRT: "cuda"}
TYPES: dict[str, type[np.generic]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
Shape = tuple[int, ...]


class GpuEngine:
    """Runs one session in buckets, with bound buffers. Thread-safe: each run takes a slot, and callers wait for one."""

    def __init__(
        self, session: ort.InferenceSession, output: str, buckets: Buckets, *, slots: int = SLOTS, graphs: bool = False
    ) -> None:
        """Prepare the slots; the first run of each bucket allocates its buffers.

        Args:
            session: with any providers; the first decides where the buffers are.
            output: the name of the output to return, float32 or float16 [n, d] or [n, t, d].
            buckets: the shapes to run.
            slots: how many runs there may be at a time.
            graphs: whether the session captures CUDA graphs. A captured graph has fixed addresses and is replayed by the
                thread that captured it, one run at a time; so there is one slot and one thread for all runs.
        """
        self.buckets = buckets
        self._noticed: list[Trouble] = []
        self._graph_ids = {shape: index for index, shape in enumerate(buckets.shapes())} if graphs else {}
        self._thread = ThreadPoolExecutor(1, "graphs") if graphs else None
        self._slots: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._count = 1 if graphs else slots
        for _ in range(self._count):
            self._slots.put(_Slot(session, output, self._noticed))

    @property
    def replays(self) -> bool:
        """Whether it replays captured launches."""
        return self._thread is not None

    @property
    def noticed(self) -> tuple[Trouble, ...]:
        """What its buffers lack, each once."""
        return tuple(dict.fromkeys(self._noticed))

    def run(self, feeds: Feeds) -> NDArray[Any]:
        """Pad inputs [n, ...] to a bucket, run them, and return the n rows of the result.

        All inputs have the same n, and those of text the same length. More rows than the largest bucket run in pieces.
        """
        first = next(iter(feeds.values()))
        count, most = len(first), self.buckets.most_rows(first.shape[1])
        if count <= most:
            return self._turn(feeds)
        pieces = ({name: value[i : i + most] for name, value in feeds.items()} for i in range(0, count, most))
        return np.concatenate([self._turn(piece) for piece in pieces])

    def warm_up(self, example: Feeds) -> int:
        """Run every bucket once in every slot, all slots at once, so that memory, kernels and engines are ready before traffic comes.

        At once, because two runs need twice the memory of one: whether there is so much shows now and not under traffic.
        Takes all slots, so only one caller may do this at a time.

        Args:
            example: one valid row of each input.

        Returns:
            The number of buckets.
        """
        shapes = list(self.buckets.shapes())
        slots = [self._slots.get() for _ in range(self._count)]
        together = threading.Barrier(len(slots))
        try:
            with ThreadPoolExecutor(len(slots), "warm-up") as threads:
                for rows, length in reversed(shapes):  # the largest first: its memory is enough for all others
                    feeds = {name: pad(value, rows, length) for name, value in example.items()}
                    list(threads.map(lambda slot, feeds=feeds: self._warm(slot, feeds, together), slots))
        finally:
            for slot in slots:
                self._slots.put(slot)
        return len(shapes)

    def _warm(self, slot: _Slot, feeds: Feeds, together: threading.Barrier) -> None:
        together.wait()
        self._run(slot, feeds)

    def _turn(self, feeds: Feeds) -> NDArray[Any]:
        with self._slot() as slot:
            return self._run(slot, feeds)

    def _run(self, slot: _Slot, feeds: Feeds) -> NDArray[Any]:
        if self._thread is None:
            return self._run_here(slot, feeds)
        return self._thread.submit(self._run_here, slot, feeds).result()

    def _run_here(self, slot: _Slot, feeds: Feeds) -> NDArray[Any]:
        first = next(iter(feeds.values()))
        rows = self.buckets.rows_for(len(first))
        length = self.buckets.length_for(first.shape[1]) if self.buckets.lengths else None
        for name, value in feeds.items():
            slot.fill(name, pad(value, rows, length))
        return cut(slot.run(rows, length, self._options(rows, length)), len(first))

    def _options(self, rows: int, length: int | None) -> ort.RunOptions | None:
        if not self._graph_ids:
            return None
        options = ort.RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(self._graph_ids.get((rows, length), -1)))  # -1: not captured
        return options

    @contextmanager
    def _slot(self) -> Iterator[_Slot]:
        slot = self._slots.get()
        try:
            yield slot
        finally:
            self._slots.put(slot)


class _Slot:
    """The buffers of one run: for each bucket a host and a device buffer per input, and a device buffer for the output."""

    def __init__(self, session: ort.InferenceSession, output: str, noticed: list[Trouble]) -> None:
        self._session = session
        self._noticed = noticed
        self._output = next(o for o in session.get_outputs() if o.name == output)
        provider = session.get_providers()[0]
        self._device = DEVICES.get(provider, "cpu")
        self._on_card = provider in (CUDA, TENSORRT)
        self._binding = session.io_binding()
        self._inputs: dict[tuple[str, Shape], tuple[NDArray[Any], ort.OrtValue]] = {}
        self._outputs: dict[Shape, ort.OrtValue] = {}

    def fill(self, name: str, value: NDArray[Any]) -> None:
        """Copy one input into the buffer that the run reads."""
        key = (name, value.shape)
        if key not in self._inputs:
            device = self._on_device(value.shape, value.dtype)
            self._inputs[key] = (self._on_host(value.shape, value.dtype, device), device)
        host, device = self._inputs[key]
        host[...] = value
        if self._on_card:
            device.update_inplace(host)
        self._binding.bind_ortvalue_input(name, device)

    def run(self, rows: int, length: int | None, options: ort.RunOptions | None) -> NDArray[Any]:
        """Run on the inputs that ``fill`` copied; the result, [rows, ...], is overwritten by the slot's next run."""
        shape = output_shape(self._output.shape, rows, length)
        if shape is None:
            self._binding.bind_output(self._output.name, "cpu")
        else:
            if shape not in self._outputs:
                self._outputs[shape] = self._on_device(shape, np.dtype(TYPES[self._output.type]))
            self._binding.bind_ortvalue_output(self._output.name, self._outputs[shape])
        self._session.run_with_iobinding(self._binding, options)
        result: NDArray[Any] = self._binding.get_outputs()[0].numpy()
        return result

    def _on_device(self, shape: Shape, dtype: np.dtype[Any]) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_shape_and_type(list(shape), dtype.type, self._device, 0)

    def _on_host(self, shape: Shape, dtype: np.dtype[Any], device: ort.OrtValue) -> NDArray[Any]:
        if self._on_card:
            return pinned(shape, dtype, self._noticed)
        same: NDArray[Any] = device.numpy()
        return same


def output_shape(declared: list[Any], rows: int, length: int | None) -> Shape | None:
    """The shape of an output, [n, d] or [n, t, d]; None if its declaration leaves it open."""
    if not declared or not isinstance(declared[-1], int):
        return None
    if len(declared) == 2:
        return (rows, declared[-1])
    if len(declared) != 3:
        return None
    middle = declared[1] if isinstance(declared[1], int) else length
    return None if middle is None else (rows, middle, declared[-1])

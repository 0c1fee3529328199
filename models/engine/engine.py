"""A graph and what runs it: arrays in, unit vectors out."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.engine import background
from models.engine.card_engine import GpuEngine
from models.engine.card_trouble import Trouble
from models.engine.cards import find
from models.engine.loaded_graph import Graph, Plan, open_graph
from models.engine.numerics import instruction_set, numerics_class, runtime_version
from models.engine.processor import machine, processor_flags
from models.engine.providers import CUDA, TENSORRT
from models.engine.row_pool import Work
from models.engine.runs import BATCH_TOKENS, RunLimits
from models.engine.session import EngineOptions
from models.engine.types import Feeds, Vectors
from models.graph.onnx_file import contents

T = TypeVar("T")


class Engine:
    """A graph and its session. Thread-safe, as sessions are."""

    def __init__(self, path: Path, options: EngineOptions | None = None, *, buckets: Plan | None = None) -> None:
        """Load a serving graph or a ready-made one, at once or, with ``options.lazy``, at the first use.

        Args:
            path: the ``.onnx`` file.
            options: threads and provider.
            buckets: the fixed shapes that it runs in on a card; None allows any shape.

        Raises:
            ArtifactError: the file is missing, is no ONNX file, or has unknown inputs or outputs.
        """
        self.options = options or EngineOptions()
        self._path = path
        self._buckets = buckets
        self._lock = threading.Lock()
        if not self.options.lazy:
            self.load()

    def load(self) -> None:
        """Load the graph unless it is loaded.

        Raises:
            ArtifactError: as for the constructor.
        """
        with self._lock:
            if "_graph" not in self.__dict__:
                self._graph = open_graph(self._path, self.options, self._buckets)

    @property
    def graph(self) -> Graph:
        """The loaded graph."""
        self.load()
        return self._graph

    @property
    def inputs(self) -> dict[str, type[np.generic]]:
        """The dtype of each input."""
        return self.graph.inputs

    @property
    def shapes(self) -> dict[str, list[Any]]:
        """The declared shape of each input; dimensions that are no numbers may vary."""
        return {value.name: value.shape for value in self.graph.session.get_inputs()}

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata properties in the file."""
        return self.graph.metadata

    @property
    def provider(self) -> str:
        """The execution provider that computes the graph, as its session reports it."""
        provider: str = self.graph.session.get_providers()[0]
        return provider

    @property
    def on_card(self) -> bool:
        """Whether a card computes."""
        return self.provider in (CUDA, TENSORRT)

    @property
    def replays(self) -> bool:
        """Whether a card replays captured launches."""
        bound = self.graph.bound
        return isinstance(bound, GpuEngine) and bound.replays

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """Why the providers before the one that computes do not."""
        return self.graph.troubles

    @property
    def noticed(self) -> tuple[Trouble, ...]:
        """What is slower or less safe on the card than it could be, as far as runs have shown it."""
        bound = self.graph.bound
        return (*self.options.noticed, *(bound.noticed if isinstance(bound, GpuEngine) else ()))

    def numerics(self, precision: str) -> str:
        """The class of what computes this graph.

        Args:
            precision: of the artifact, as the catalogue says.
        """
        provider = self.provider
        if provider in (CUDA, TENSORRT):
            card = find()
            instructions = card.identity if card else "card"
        else:
            instructions = instruction_set(
                processor_flags(), machine(), integers=contents(self._path).integers, bf16=precision == "bf16"
            )
        return numerics_class(provider, precision, instructions, runtime_version(provider))

    @property
    def run_limits(self) -> RunLimits:
        """How large a run of padded rows may be right now: another run that is under way occupies the shared threads."""
        graph = self.graph
        if graph.bound is not None and graph.bound.buckets.cut:
            # While others compute, a batch in fewer and larger runs takes less of the processor.
            return RunLimits(threads=graph.free_threads, buckets=graph.bound.buckets)
        if graph.bound is not None:
            return RunLimits(tokens=graph.bound.buckets.cells or BATCH_TOKENS, whole=True)
        if not graph.options.on_cpu:
            return RunLimits(whole=True)
        return RunLimits(threads=graph.free_threads, by_input=graph.divides)

    def parts(self, count: int, default: int) -> list[int]:
        """How many of ``count`` rows of equal size each run takes, at most ``default`` if shapes are not fixed."""
        graph = self.graph
        bound = graph.bound
        if bound is not None and bound.buckets.cut:
            return bound.buckets.parts(count, 0, graph.free_threads)
        most = bound.buckets.rows[-1] if bound else default
        if graph.few and graph.divides:
            most = min(most, math.ceil(count / graph.free_threads))
        return [min(most, count - start) for start in range(0, count, most)]

    def padded(self, lengths: list[int]) -> list[int]:
        """The number of tokens that each row is padded to: its bucket's, or its own if shapes are not fixed."""
        bound = self.graph.bound
        return lengths if bound is None else [bound.buckets.length_for(length) for length in lengths]

    def warm_up(self, example: Feeds) -> int:
        """Run every fixed shape once; returns how many there are, 0 if shapes are not fixed.

        Args:
            example: one valid row of each input; those that the graph does not have are ignored.
        """
        return self.graph.warm_up(self._feeds(example))

    def run(self, values: Feeds, pool: Callable[[NDArray[Any]], NDArray[Any]]) -> Vectors:
        """Run once: arrays [n, ...] to vectors, float32 [n, d], of length 1 unless the graph says otherwise.

        Args:
            values: arrays by input name; those that the graph does not have are ignored.
            pool: turns an output with one vector per token, float32 [n, t, d], into one per input, [n, d].
        """
        raw = self.graph.run(self._feeds(values))
        if self.graph.per_token:
            raw = pool(raw.astype(np.float32))
        if self.graph.final:
            vectors: Vectors = raw
            return vectors
        wide = raw.astype(np.float64)
        lengths = np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
        unit: Vectors = (wide / lengths).astype(np.float32)
        return unit

    def map(self, work: Callable[[T], Vectors], pieces: Sequence[T]) -> list[Vectors]:
        """The results of ``work`` on each piece, float32 [n, d] each; in parallel where the graph divides batches now."""
        graph = self.graph
        if len(pieces) == 1 or graph.pool is None or not graph.divides:  # one piece is computed sooner here
            return list(map(work, pieces))
        with graph.free.divided():
            return list(graph.pool.map(work, pieces))

    def embed_together(self, rows: Sequence[Any], lengths: list[int], work: Work) -> Vectors | None:
        """The vectors of rows, float32 [n, d], computed in runs that other threads' rows share; None where runs are not shared.

        Args:
            rows: at least one.
            lengths: of each, as ``padded`` gives them.
            work: computes rows of equal length.
        """
        pool = self.graph.row_pool
        return None if pool is None or background.here() else pool.embed(rows, lengths, work)

    def _feeds(self, values: Feeds) -> dict[str, NDArray[Any]]:
        return {name: values[name].astype(dtype, copy=False) for name, dtype in self.graph.inputs.items()}

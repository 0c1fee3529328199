"""One ONNX Runtime session and the shape of its graph: tensors in, unit vectors out."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.engine.buckets import LENGTHS, Buckets
from models.engine.card_engine import GpuEngine
from models.engine.providers import CPU
from models.engine.runner import Runner
from models.engine.session import EngineOptions, shared_session
from models.engine.shapes import buckets_of, with_profiles
from models.errors import ArtifactError
from models.graph.builder import properties_of
from models.inputs.image import Pixels, pixel_values

__all__ = ["Engine", "EngineOptions", "Pooling", "Vectors"]

Vectors = NDArray[np.float32]
Pooling = Literal["mean", "cls"]

# Outputs that hold one vector per input, and outputs that hold one per token, most specific name first.
POOLED_OUTPUTS = ("embedding", "sentence_embedding", "image_embeds", "text_embeds", "image_embedding")
TOKEN_OUTPUTS = ("token_embeddings", "last_hidden_state")
BATCH_TOKENS = 4096  # padded tokens per run of a CPU, which its callers split larger batches into
BATCH_IMAGES = 16
TOKENS_PER_THREAD = 64  # fewer are computed sooner than another thread wakes
# Of one run, per core: what a layer computes then stays in its cache. 4,096 tokens on 2 cores take 190 ms in one run
# and 121 in runs of 256 (int8; fp32: 421 and 362).
TOKENS_PER_RUN = 256
NUMPY_TYPES: dict[str, type[np.generic]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}


class Engine:
    """A graph and its session. Thread-safe: ONNX Runtime runs one session from many threads."""

    def __init__(
        self, path: Path, options: EngineOptions | None = None, *, pooling: Pooling = "mean", longest: int = LENGTHS[-1]
    ) -> None:
        """Load a serving graph or a ready-made one; with ``options.lazy``, at the first use.

        Args:
            path: the ``.onnx`` file.
            options: threads and provider.
            pooling: how token-level outputs of ready-made graphs become one vector.
            longest: tokens of a text, beyond which the graph may have no positions.

        Raises:
            ArtifactError: the file is missing, no ONNX, or has inputs or outputs that are not understood.
        """
        self.options = options or EngineOptions()
        self._path = path
        self._pooling = pooling
        self._longest = longest
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
                self._graph = _open(self._path, self.options, self._longest)

    @property
    def graph(self) -> Graph:
        """The loaded graph."""
        self.load()
        return self._graph

    @property
    def kind(self) -> Literal["text", "image"]:
        """What the graph takes."""
        return self.graph.kind

    @property
    def image_size(self) -> int | None:
        """The side of the pictures that an image graph takes, where the graph fixes it."""
        shape = self.graph.session.get_inputs()[0].shape
        side = shape[2] if len(shape) == 4 else None
        return side if self.kind == "image" and isinstance(side, int) else None

    @property
    def metadata(self) -> dict[str, str]:
        """The properties written in the file."""
        return self.graph.metadata

    @property
    def provider(self) -> str:
        """What computes it, as ONNX Runtime says."""
        provider: str = self.graph.session.get_providers()[0]
        return provider

    @property
    def batch_images(self) -> int:
        """Pictures of one run at most: above it speed stays flat and activations only take memory."""
        return self.graph.bound.buckets.rows[-1] if self.graph.bound else BATCH_IMAGES

    @property
    def batch_tokens(self) -> int:
        """Padded tokens of one run at most, for the same reason."""
        return self.graph.bound.buckets.cells or BATCH_TOKENS if self.graph.bound else BATCH_TOKENS

    def padded(self, lengths: list[int]) -> list[int]:
        """Tokens that texts of these lengths are computed as: as many, or those of their bucket."""
        bound = self.graph.bound
        return lengths if bound is None else [bound.buckets.length_for(length) for length in lengths]

    def warm_up(self) -> int:
        """Run every fixed shape once; returns how many there are, 0 where shapes are free."""
        graph = self.graph
        if graph.bound is None:
            return 0
        side = self.image_size or 224
        pixels = np.zeros((1, side, side, 3), np.uint8)
        one = np.ones((1, 1), np.int64)
        if graph.kind == "text":
            return graph.bound.warm_up({name: one.astype(kind) for name, kind in graph.inputs.items()})
        name, kind = next(iter(graph.inputs.items()))
        value: NDArray[Any] = pixels if kind == np.uint8 else pixel_values(pixels)
        return graph.bound.warm_up({name: value.astype(kind, copy=False)})

    def run_text(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Vectors:
        """Embed padded token ids, int64 [n, t] with its mask, to unit vectors float32 [n, d]."""
        pool = self.graph.pool
        count, length = ids.shape
        options = self.graph.options
        threads = 1 if self.graph.free.busy else options.thread_count
        parts = run_parts(count, length, threads, by_input=pool is not None) if options.on_cpu else 1
        if parts < 2:
            return self._run_text(ids, mask)
        pieces = zip(np.array_split(ids, parts), np.array_split(mask, parts), strict=True)
        runs = (pool.map if pool else map)(lambda piece: self._run_text(*_trim(*piece)), pieces)
        return np.concatenate(list(runs))

    def _run_text(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Vectors:
        graph = self.graph
        available = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        feeds = {name: available[name].astype(kind, copy=False) for name, kind in graph.inputs.items()}
        raw = graph.run(feeds)
        if graph.per_token:
            raw = _pool(raw.astype(np.float32), mask, self._pooling)
        return self._finish(raw)

    def run_image(self, pixels: Pixels) -> Vectors:
        """Embed uint8 pixels [n, h, w, 3] to unit vectors float32 [n, d]."""
        graph = self.graph
        name, kind = next(iter(graph.inputs.items()))
        value: NDArray[Any] = pixels if kind == np.uint8 else pixel_values(pixels)
        raw = graph.run({name: value.astype(kind, copy=False)})
        return self._finish(raw if raw.ndim == 2 else raw[:, 0])

    def _finish(self, raw: NDArray[Any]) -> Vectors:
        if self.graph.unit:
            vectors: Vectors = raw
            return vectors
        wide = raw.astype(np.float64)
        lengths = np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
        unit: Vectors = (wide / lengths).astype(np.float32)
        return unit


@dataclass(frozen=True)
class Graph:
    """A session and what its inputs and outputs mean."""

    session: ort.InferenceSession
    inputs: dict[str, type[np.generic]]
    output: str
    per_token: bool
    unit: bool  # whether vectors leave the graph at length 1
    kind: Literal["text", "image"]
    metadata: dict[str, str]
    pool: ThreadPoolExecutor | None  # for graphs whose threads each compute inputs of their own
    options: EngineOptions  # with the provider that was got
    bound: GpuEngine | None  # runs it in fixed shapes
    free: Runner  # runs it in any

    def run(self, feeds: dict[str, NDArray[Any]]) -> NDArray[Any]:
        """The output for inputs [n, ...]."""
        return self.free.run(feeds) if self.bound is None else self.bound.run(feeds)


def _open(path: Path, options: EngineOptions, longest: int) -> Graph:
    """Load a graph; the session's thread count depends on what its file says it is."""
    options = with_profiles(path, options.settled(), longest)
    by_input = options.parallelism == "inputs" or (options.parallelism == "auto" and _prefers_inputs(path, options))
    threads = 1 if by_input else options.thread_count
    session = shared_session(path, options, threads)
    if session.get_providers()[0] == CPU and not options.on_cpu:  # no driver, no card: the CPU's own ways fit better
        return _open(path, replace(options, provider="cpu"), longest)
    inputs = {i.name: NUMPY_TYPES.get(i.type) for i in session.get_inputs()}
    unknown = [f"{i.name}: {i.type}" for i in session.get_inputs() if inputs[i.name] is None]
    if unknown:
        raise ArtifactError(f"{path.name} has inputs of unsupported type: {', '.join(unknown)}")
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    output, per_token = _output(session, path)
    kind = _kind(set(inputs), path)
    bound = _bound(session, output, buckets_of(kind, options, longest), options)
    spare = options.spare and bound is None and threads > 1
    return Graph(
        session=session,
        inputs={name: kind for name, kind in inputs.items() if kind is not None},
        output=output,
        per_token=per_token,
        unit=metadata.get("embedserve.output") == "unit",
        kind=kind,
        metadata=metadata,
        pool=ThreadPoolExecutor(options.thread_count, "embed") if by_input and options.thread_count > 1 else None,
        options=options,
        bound=bound,
        free=Runner(session, output, shared_session(path, options, threads - 1) if spare else None),
    )


def _bound(session: ort.InferenceSession, output: str, buckets: Buckets, options: EngineOptions) -> GpuEngine | None:
    """How the graph runs in fixed shapes, where it does."""
    if not (options.bucketed or (options.bucketed is None and not options.on_cpu)):
        return None
    return GpuEngine(session, output, buckets, graphs=options.device.cuda_graph and not options.on_cpu)


def _prefers_inputs(path: Path, options: EngineOptions) -> bool:
    if not options.on_cpu or not path.is_file():
        return False
    properties = properties_of(path)
    return properties.get("embedserve.precision") == "int8" and "embedserve.pooling" in properties


def _output(session: ort.InferenceSession, path: Path) -> tuple[str, bool]:
    """The output to take, and whether it holds a vector per token."""
    shapes = {o.name: len(o.shape) for o in session.get_outputs()}
    for name in (*POOLED_OUTPUTS, *TOKEN_OUTPUTS):
        if shapes.get(name) in (2, 3):
            return name, shapes[name] == 3
    wanted = ", ".join((*POOLED_OUTPUTS, *TOKEN_OUTPUTS))
    raise ArtifactError(f"{path.name} has outputs {sorted(shapes)}; one of these is needed: {wanted}")


def _kind(inputs: set[str], path: Path) -> Literal["text", "image"]:
    if "input_ids" in inputs and inputs <= {"input_ids", "attention_mask", "token_type_ids"}:
        return "text"
    if len(inputs) == 1 and inputs <= {"pixels", "pixel_values", "image"}:
        return "image"
    raise ArtifactError(
        f"{path.name} has inputs {sorted(inputs)}; text graphs take input_ids, attention_mask and "
        "optionally token_type_ids, image graphs take pixels, pixel_values or image"
    )


def run_parts(count: int, length: int, threads: int, *, by_input: bool) -> int:
    """How many runs a batch of texts is split into on a CPU.

    Args:
        count: texts.
        length: tokens of each, padding included.
        threads: that nothing else keeps busy.
        by_input: whether each thread computes texts of its own.
    """
    size = count * length
    if by_input:
        parts = max(min(threads, size // TOKENS_PER_THREAD), math.ceil(size / TOKENS_PER_RUN))
    else:
        parts = math.ceil(size / (TOKENS_PER_RUN * threads))
    return min(parts, count)


def _trim(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut the padding that no row of this piece needs."""
    longest = max(1, int(mask.sum(axis=1).max()))
    return ids[:, :longest], mask[:, :longest]


def _pool(tokens: NDArray[np.float32], mask: NDArray[np.int64], pooling: Pooling) -> NDArray[np.float32]:
    """[n, t, d] to [n, d]; sums each row alone, so that padding and neighbours leave its bits as they are."""
    if pooling == "cls":
        first: NDArray[np.float32] = tokens[:, 0]
        return first
    return np.stack([row[: int(m.sum())].mean(axis=0) for row, m in zip(tokens, mask, strict=True)])

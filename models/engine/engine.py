"""A graph and what runs it: arrays in, unit vectors out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.engine.buckets import Buckets
from models.engine.card_engine import GpuEngine
from models.engine.card_trouble import CardError, Trouble, read
from models.engine.cards import find
from models.engine.cut_engine import CutEngine
from models.engine.numerics import instruction_set, numerics_class, runtime_version
from models.engine.openvino import require_bf16
from models.engine.processor import machine, processor_flags
from models.engine.provider_options import Device
from models.engine.providers import CPU, CUDA, TENSORRT
from models.engine.runner import Runner
from models.engine.runs import BATCH_TOKENS, RunLimits
from models.engine.session import EngineOptions, Session, shared_session, troubles_of
from models.engine.shapes import bounded, with_profiles
from models.engine.types import Feeds, Vectors
from models.errors import ArtifactError
from models.graph.builder import properties_of
from models.graph.onnx_file import contents
from models.graph.precision import PRECISIONS
from models.graph.sentence import RAW, UNIT

# Names of outputs with one vector per input, and of outputs with one per token; the first that a graph has is taken.
POOLED_OUTPUTS = ("embedding", "sentence_embedding", "image_embeds", "text_embeds", "image_embedding")
TOKEN_OUTPUTS = ("token_embeddings", "last_hidden_state")
FINAL = (UNIT, RAW)
NUMPY_TYPES: dict[str, type[np.generic]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
Plan = Callable[[EngineOptions], Buckets]  # the shapes of a graph that runs in fixed shapes
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
                self._graph = _open(self._path, self.options, self._buckets)

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
        return RunLimits(threads=graph.free_threads, by_input=graph.pool is not None)

    def parts(self, count: int, default: int) -> list[int]:
        """How many of ``count`` rows of equal size each run takes, at most ``default`` if shapes are not fixed."""
        bound = self.graph.bound
        if bound is not None and bound.buckets.cut:
            return bound.buckets.parts(count, 0, self.graph.free_threads)
        most = bound.buckets.rows[-1] if bound else default
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
        """The results of ``work`` on each piece; in parallel if each thread computes inputs of its own."""
        pool = self.graph.pool if len(pieces) > 1 else None  # one piece is computed sooner where it is
        return list((pool.map if pool else map)(work, pieces))

    def _feeds(self, values: Feeds) -> dict[str, NDArray[Any]]:
        return {name: values[name].astype(dtype, copy=False) for name, dtype in self.graph.inputs.items()}


@dataclass(frozen=True)
class Graph:
    """A session and what its inputs and outputs mean."""

    session: Session
    inputs: dict[str, type[np.generic]]
    output: str
    per_token: bool
    final: bool  # whether its vectors are as they should be: of length 1, or of the length that the model gives them
    metadata: dict[str, str]
    pool: ThreadPoolExecutor | None  # if each thread computes inputs of its own
    options: EngineOptions  # settled: they name the provider that is used
    bound: GpuEngine | CutEngine | None  # runs the graph in fixed shapes
    free: Runner  # runs it in any shape
    troubles: tuple[Trouble, ...] = ()  # why better providers do not compute it

    @property
    def free_threads(self) -> int:
        """How many threads a run should count on: one while another run is under way."""
        busy = self.bound.busy if isinstance(self.bound, CutEngine) else self.free.busy
        return 1 if busy else self.options.thread_count

    def run(self, feeds: dict[str, NDArray[Any]]) -> NDArray[Any]:
        """The output for inputs [n, ...].

        Raises:
            CardError: the card failed.
        """
        try:
            return self.free.run(feeds) if self.bound is None else self.bound.run(feeds)
        except Exception as error:  # the bindings raise a different type for each of ORT's status codes
            self._tell(error)
            raise

    def warm_up(self, feeds: dict[str, NDArray[Any]]) -> int:
        """Run every fixed shape once; returns how many there are.

        Raises:
            CardError: the card failed.
        """
        try:
            return 0 if self.bound is None else self.bound.warm_up(feeds)
        except Exception as error:  # as above
            self._tell(error)
            raise

    def _tell(self, error: Exception) -> None:
        """Say what is known of an error that a card raised."""
        provider = self.session.get_providers()[0]
        if provider in (CUDA, TENSORRT):
            trouble = read(error, f"{provider} failed")
            if trouble.cause != "unknown":
                raise CardError(trouble) from error


def _open(path: Path, options: EngineOptions, plan: Plan | None) -> Graph:
    """Load a graph. The thread count of its session depends on the precision that its file names."""
    options = _for_precision(path, options).settled()
    if plan is not None:
        options = with_profiles(path, options, plan)
    elif options.device.cuda_graph:  # without fixed shapes there is nothing to replay
        options = replace(options, device=replace(options.device, cuda_graph=False))
    options = bounded(path, options, None if plan is None else plan(options))
    by_input = (
        options.on_openvino
        or options.parallelism == "inputs"
        or (options.parallelism == "auto" and _prefers_inputs(path, options))
    )
    threads = 1 if by_input else options.thread_count
    session = shared_session(path, options, threads)
    if session.get_providers()[0] == CPU and not options.on_cpu:  # no driver or no card: use the options for CPUs
        return replace(_open(path, replace(options, provider="cpu"), plan), troubles=troubles_of(session))
    inputs = {i.name: NUMPY_TYPES.get(i.type) for i in session.get_inputs()}
    unknown = [f"{i.name}: {i.type}" for i in session.get_inputs() if inputs[i.name] is None]
    if unknown:
        raise ArtifactError(f"{path.name} has inputs of unsupported type: {', '.join(unknown)}")
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    output, per_token = _output(session, path)
    bound = None if plan is None else _bound(session, output, plan(options), options)
    spare = options.spare and bound is None and threads > 1
    return Graph(
        session=session,
        inputs={name: dtype for name, dtype in inputs.items() if dtype is not None},
        output=output,
        per_token=per_token,
        final=metadata.get("embedserve.output") in FINAL,
        metadata=metadata,
        pool=ThreadPoolExecutor(options.thread_count, "embed") if by_input and options.thread_count > 1 else None,
        options=options,
        bound=bound,
        troubles=troubles_of(session),
        free=Runner(session, output, shared_session(path, options, threads - 1) if spare else None),
    )


def _for_precision(path: Path, options: EngineOptions) -> EngineOptions:
    """Options that name the provider which computes a graph of this precision where they leave it open.

    Raises:
        ArtifactError: it is one for a processor's instructions that this one lacks, or the options ask for another provider.
    """
    precision = PRECISIONS.get(properties_of(path).get("embedserve.precision", "")) if path.is_file() else None
    if precision is None or not precision.bf16:
        return options
    if options.provider not in ("auto", "openvino", "cpu"):
        raise ArtifactError(
            f"{path.name} is computed in bfloat16 on a processor by OpenVINO, and the configuration says provider: "
            f"{options.provider}; set provider: openvino or auto, or serve the fp16 version on a card"
        )
    require_bf16(path.name)
    return replace(options, provider="openvino", gpus=None, device=Device())


def _bound(session: Session, output: str, buckets: Buckets, options: EngineOptions) -> GpuEngine | CutEngine | None:
    """Runs the graph in fixed shapes; None if it does not run in such."""
    if options.on_openvino:
        return CutEngine(session, output, buckets, options.thread_count)
    if not (options.bucketed or (options.bucketed is None and not options.on_cpu)):
        return None
    return GpuEngine(session, output, buckets, graphs=options.device.cuda_graph and not options.on_cpu)


def _prefers_inputs(path: Path, options: EngineOptions) -> bool:
    if not options.on_cpu or not path.is_file():
        return False
    properties = properties_of(path)
    precision = PRECISIONS.get(properties.get("embedserve.precision", ""))
    return precision is not None and precision.by_input and "embedserve.pooling" in properties


def _output(session: Session, path: Path) -> tuple[str, bool]:
    """The name of the output to take, and whether it has a vector per token."""
    shapes = {o.name: len(o.shape) for o in session.get_outputs()}
    for name in (*POOLED_OUTPUTS, *TOKEN_OUTPUTS):
        if shapes.get(name) in (2, 3):
            return name, shapes[name] == 3
    wanted = ", ".join((*POOLED_OUTPUTS, *TOKEN_OUTPUTS))
    raise ArtifactError(f"{path.name} has outputs {sorted(shapes)}; one of these is needed: {wanted}")

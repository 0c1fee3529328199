"""A loaded graph: its session, what its inputs and outputs mean, and the shapes that it runs in."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.engine import background
from models.engine.buckets import Buckets
from models.engine.card_engine import GpuEngine
from models.engine.card_trouble import CardError, Trouble, read
from models.engine.cut_engine import CutEngine
from models.engine.openvino import require_bf16
from models.engine.provider_options import Device
from models.engine.providers import CPU, CUDA, TENSORRT
from models.engine.row_pool import RowPool
from models.engine.runner import Runner
from models.engine.session import EngineOptions, Session, shared_session, troubles_of
from models.engine.shapes import bounded, with_profiles
from models.errors import ArtifactError
from models.graph.precision import PRECISIONS
from models.graph.properties import properties_of
from models.graph.sentence import POOLED_OUTPUTS, RAW, TOKEN_OUTPUTS, UNIT

FINAL = (UNIT, RAW)
NUMPY_TYPES: dict[str, type[np.generic]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
Plan = Callable[[EngineOptions], Buckets]  # the shapes of a graph that runs in fixed shapes


@dataclass(frozen=True)
class Graph:
    """A session and what its inputs and outputs mean."""

    session: Session
    inputs: dict[str, type[np.generic]]
    output: str
    per_token: bool
    final: bool  # whether its vectors are as they should be: of length 1, or of the length that the model gives them
    metadata: dict[str, str]
    pool: ThreadPoolExecutor | None  # if threads can compute inputs of their own
    few: bool  # whether that pays for two pictures already
    by_input: bool  # whether they always do; otherwise only a batch that is alone is divided
    options: EngineOptions  # settled: they name the provider that is used
    bound: GpuEngine | CutEngine | None  # runs the graph in fixed shapes
    free: Runner  # runs it in any shape
    row_pool: RowPool | None = None  # if batches of texts share runs
    troubles: tuple[Trouble, ...] = ()  # why better providers do not compute it

    @property
    def free_threads(self) -> int:
        """How many threads a run should count on: one while another run is under way, or nobody waits for this one."""
        busy = self.bound.busy if isinstance(self.bound, CutEngine) else self.free.busy
        return 1 if busy or background.here() else self.options.thread_count

    @property
    def divides(self) -> bool:
        """Whether a batch that begins now should be computed as one run per thread.

        Runs of one thread do not wait for each other: 8 pictures in int8 take 11 to 15 % less time so, 16 texts in fp32 7 to 14 % (2 cores,
        Intel Xeon with AMX). While another batch is under way, this one gets a thread.
        """
        return self.pool is not None and not background.here() and (self.by_input or not self.free.busy)

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


def open_graph(path: Path, options: EngineOptions, plan: Plan | None) -> Graph:
    """Load a graph. The thread count of its session depends on the precision that its file names.

    Raises:
        ArtifactError: it does not load, takes or gives what is not served, or its precision is not one of the provider's.
    """
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
    few = by_input or _has_short_operators(path)
    threads = 1 if by_input else options.thread_count
    session = shared_session(path, options, threads)
    if session.get_providers()[0] == CPU and not options.on_cpu:  # no driver or no card: use the options for CPUs
        return replace(open_graph(path, replace(options, provider="cpu"), plan), troubles=troubles_of(session))
    inputs = {i.name: NUMPY_TYPES.get(i.type) for i in session.get_inputs()}
    unknown = [f"{i.name}: {i.type}" for i in session.get_inputs() if inputs[i.name] is None]
    if unknown:
        raise ArtifactError(f"{path.name} has inputs of unsupported type: {', '.join(unknown)}")
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    output, per_token = _output(session, path)
    bound = None if plan is None else _bound(session, output, plan(options), options)
    spare = options.spare and bound is None and threads > 1
    divides = by_input or (spare and threads == 2)  # the second session has one thread then
    return Graph(
        session=session,
        inputs={name: dtype for name, dtype in inputs.items() if dtype is not None},
        output=output,
        per_token=per_token,
        final=metadata.get("embedserve.output") in FINAL,
        metadata=metadata,
        pool=ThreadPoolExecutor(options.thread_count, "embed") if divides and options.thread_count > 1 else None,
        by_input=by_input,
        few=few,
        options=options,
        bound=bound,
        troubles=troubles_of(session),
        free=Runner(session, output, shared_session(path, options, threads - 1) if spare else None),
        row_pool=_row_pool(bound),
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


def _row_pool(bound: GpuEngine | CutEngine | None) -> RowPool | None:
    """What lets batches share runs, where a run takes rows of one length; None elsewhere."""
    if not isinstance(bound, CutEngine) or bound.buckets.lengths is None:
        return None
    return RowPool(bound.buckets, bound.threads)


def _prefers_inputs(path: Path, options: EngineOptions) -> bool:
    return options.on_cpu and _has_short_operators(path) and "embedserve.pooling" in properties_of(path)


def _has_short_operators(path: Path) -> bool:
    precision = PRECISIONS.get(properties_of(path).get("embedserve.precision", "")) if path.is_file() else None
    return precision is not None and precision.by_input


def _output(session: Session, path: Path) -> tuple[str, bool]:
    """The name of the output to take, and whether it has a vector per token."""
    shapes = {o.name: len(o.shape) for o in session.get_outputs()}
    for name in (*POOLED_OUTPUTS, *TOKEN_OUTPUTS):
        if shapes.get(name) in (2, 3):
            return name, shapes[name] == 3
    wanted = ", ".join((*POOLED_OUTPUTS, *TOKEN_OUTPUTS))
    raise ArtifactError(f"{path.name} has outputs {sorted(shapes)}; one of these is needed: {wanted}")

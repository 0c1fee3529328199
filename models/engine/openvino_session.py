"""A graph compiled by OpenVINO for this processor, behind the part of ONNX Runtime's session that engines use."""

from __future__ import annotations

import queue
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.engine.providers import OPENVINO, PACKAGE
from models.errors import ArtifactError
from models.graph.onnx_file import contents
from models.graph.properties import properties_of

if TYPE_CHECKING:
    from openvino import Core, InferRequest, Node

TYPES = {
    "i64": "tensor(int64)",
    "i32": "tensor(int32)",
    "f32": "tensor(float)",
    "f16": "tensor(float16)",
    "u8": "tensor(uint8)",
}

TELEMETRY = "openvino_telemetry"


@dataclass(frozen=True)
class Value:
    """An input or output, named and typed as ONNX Runtime does."""

    name: str
    type: str
    shape: list[int | None]  # None: any


@dataclass(frozen=True)
class Metadata:
    """What the file says about itself."""

    custom_metadata_map: Mapping[str, str]


class OpenVinoSession:
    """Computes a graph; thread-safe, as ONNX Runtime's sessions are.

    As many runs at a time as there are threads, each on a thread of its own: on 2 cores of an AMD EPYC (avx512_bf16) two callers
    get 1,970 texts/s so, and 1,650 when the threads share each run.
    """

    def __init__(self, path: Path, *, bf16: bool, threads: int) -> None:
        """Compile a graph of standard operators.

        Args:
            path: the ``.onnx`` file.
            bf16: whether products are rounded to bfloat16; otherwise all is float32.
            threads: how many.

        Raises:
            ArtifactError: OpenVINO is not installed, does not take the graph, or does not compute in bfloat16 here; or the graph is one
                of int8.
        """
        if contents(path).integers:
            raise ArtifactError(
                f"{path.name} has products of integers, which ONNX Runtime computes; set provider: cpu or auto for it"
            )
        hint = "bf16" if bf16 else "f32"
        options = {"INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": str(threads), "INFERENCE_NUM_THREADS": str(threads)}
        core = _core()
        try:
            model = core.read_model(path)
            # Named here: compiled, a result has other names beside its own.
            self._inputs, self._outputs = (
                [_value(node) for node in model.inputs],
                [_value(node) for node in model.outputs],
            )
            self._compiled = core.compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise ArtifactError(
                f"OpenVINO does not take {path.name}; it takes graphs of standard operators, such as those of bf16 versions: "
                f"{_reason(error)}"
            ) from error
        given = self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if given != hint:
            raise ArtifactError(f"OpenVINO computes {path.name} in {given} on this processor, not in {hint}")
        self._metadata = Metadata(properties_of(path))
        self._idle: queue.SimpleQueue[InferRequest] = queue.SimpleQueue()

    def run(self, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The named outputs, [n, ...] each, for the inputs by name."""
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        try:
            contiguous = {name: np.ascontiguousarray(value) for name, value in feeds.items()}
            request.infer(contiguous, share_inputs=True, share_outputs=True)
            return [request.get_tensor(name).data.copy() for name in outputs]  # the next run overwrites the tensor
        finally:
            self._idle.put(request)

    def get_providers(self) -> list[str]:
        """What computes."""
        return [OPENVINO]

    def get_inputs(self) -> list[Value]:
        """The graph's inputs."""
        return self._inputs

    def get_outputs(self) -> list[Value]:
        """The graph's outputs."""
        return self._outputs

    def get_modelmeta(self) -> Metadata:
        """The properties in the file."""
        return self._metadata


def _value(node: Node) -> Value:
    element = node.get_element_type().get_type_name()
    shape = [None if size.is_dynamic else size.get_length() for size in node.get_partial_shape()]
    return Value(node.get_any_name(), TYPES.get(element, element), shape)


def _reason(error: RuntimeError) -> str:
    """The last line that says something: OpenVINO begins with where in its source it failed."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


@cache
def _core() -> Core:
    # Its package says that it needs this one, and its import reports to the maker with it, and writes into HOME; it does without.
    sys.modules.setdefault(TELEMETRY, None)  # type: ignore[arg-type]
    try:
        from openvino import Core
    except ImportError:
        raise ArtifactError(
            f"provider openvino needs the package {PACKAGE}, which embedserve[cpu] brings on x86-64 Linux"
        ) from None
    return Core()

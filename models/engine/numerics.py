"""The numerics class: what computed a vector, as far as its bits depend on it.

The same artifact gives other bits on another provider, with other instructions, or in another version of the runtime.
Vectors of one class have equal bits; those of two classes may differ, and docs/models.md says by how much.
"""

from __future__ import annotations

import re
from collections.abc import Set
from importlib.metadata import PackageNotFoundError, version

import onnxruntime as ort

from models.engine.providers import CPU, CUDA, OPENVINO, PACKAGE, TENSORRT

SHORT = {CPU: "cpu", OPENVINO: "openvino", CUDA: "cuda", TENSORRT: "tensorrt"}
# What ONNX Runtime and OpenVINO choose their kernels by, best first.
FLOATS = (("avx512f", {"avx512f"}), ("avx2", {"avx2", "fma"}), ("avx", {"avx"}))
INTEGERS = (
    ("amx_int8", {"amx_int8", "amx_tile"}),
    ("avx512_vnni", {"avx512_vnni", "avx512bw", "avx512vl"}),
    ("avx512bw", {"avx512bw", "avx512vl"}),
    ("avx_vnni", {"avx_vnni", "avx2"}),
    ("avx2", {"avx2"}),
)
HALVES = (("amx_bf16", {"amx_bf16", "amx_tile"}), ("avx512_bf16", {"avx512_bf16"}))
ARM_INTEGERS = (("i8mm", {"i8mm"}), ("asimddp", {"asimddp"}))
UNSUITABLE = re.compile(r"[^a-z0-9_.+-]+")


def numerics_class(provider: str, precision: str, instructions: str, runtime: str) -> str:
    """The class in one short string, such as ``cpu/int8/avx512_vnni/onnxruntime-1.32.0``.

    Args:
        provider: the execution provider that computes, by ONNX Runtime's name.
        precision: of the artifact.
        instructions: those of the processor that decide its kernels, or the card.
        runtime: name and version of what computes.
    """
    return "/".join((SHORT.get(provider, _slug(provider)), precision, _slug(instructions), _slug(runtime)))


def instruction_set(flags: Set[str], machine: str, *, integers: bool = False, bf16: bool = False) -> str:
    """The instructions of a processor by which the runtime chooses the kernels of a graph.

    Args:
        flags: of the processor.
        machine: its architecture.
        integers: whether the graph has products of integers.
        bf16: whether it is computed in bfloat16.
    """
    if machine != "x86_64":
        best = next((name for name, needed in ARM_INTEGERS if integers and needed <= flags), None)
        return f"{machine}-{best}" if best else machine
    levels = HALVES if bf16 else INTEGERS if integers else FLOATS
    return next((name for name, needed in levels if needed <= flags), "sse2")


def runtime_version(provider: str) -> str:
    """Name and version of what computes on a provider."""
    if provider != OPENVINO:
        return f"onnxruntime-{ort.__version__}"
    try:
        return f"openvino-{version(PACKAGE)}"
    except PackageNotFoundError:
        return "openvino"


def _slug(text: str) -> str:
    return UNSUITABLE.sub("-", text.lower()).strip("-")

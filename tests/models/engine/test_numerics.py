"""The numerics class names what computes, and only what its bits depend on."""

from __future__ import annotations

import onnxruntime as ort
import pytest

from models.engine.engine import Engine
from models.engine.numerics import instruction_set, numerics_class, runtime_version
from models.engine.processor import flags_in, machine, processor_flags
from models.engine.providers import CPU, CUDA, OPENVINO
from models.engine.session import EngineOptions
from tests.models.loading import artifact_of

HASWELL = {"avx", "avx2", "fma", "f16c"}
SKYLAKE_X = {*HASWELL, "avx512f", "avx512bw", "avx512vl", "avx512dq"}
ICE_LAKE = {*SKYLAKE_X, "avx512_vnni"}
ZEN_5 = {*ICE_LAKE, "avx_vnni", "avx512_bf16"}
SAPPHIRE_RAPIDS = {*ZEN_5, "amx_tile", "amx_int8", "amx_bf16"}
ALDER_LAKE = {*HASWELL, "avx_vnni"}
LEVELS = {
    "a processor of 2003": (set(), "sse2", "sse2", "sse2"),
    "Haswell": (HASWELL, "avx2", "avx2", "sse2"),
    "Alder Lake": (ALDER_LAKE, "avx2", "avx_vnni", "sse2"),
    "Skylake-X": (SKYLAKE_X, "avx512f", "avx512bw", "sse2"),
    "Ice Lake": (ICE_LAKE, "avx512f", "avx512_vnni", "sse2"),
    "Zen 5": (ZEN_5, "avx512f", "avx512_vnni", "avx512_bf16"),
    "Sapphire Rapids": (SAPPHIRE_RAPIDS, "avx512f", "amx_int8", "amx_bf16"),
    "one whose system does not switch AMX's tiles on": (
        SAPPHIRE_RAPIDS - {"amx_tile"},
        "avx512f",
        "avx512_vnni",
        "avx512_bf16",
    ),
}


@pytest.mark.parametrize(("flags", "floats", "integers", "bf16"), LEVELS.values(), ids=LEVELS.keys())
def test_the_instructions_are_those_that_decide_the_kernels(
    flags: set[str], floats: str, integers: str, bf16: str
) -> None:
    assert instruction_set(flags, "x86_64") == floats
    assert instruction_set(flags, "x86_64", integers=True) == integers
    assert instruction_set(flags, "x86_64", bf16=True) == bf16


def test_an_arm_processor_is_named_by_its_machine() -> None:
    assert instruction_set({"asimddp", "i8mm"}, "aarch64", integers=True) == "aarch64-i8mm"
    assert instruction_set({"asimddp", "i8mm"}, "aarch64") == "aarch64"


def test_a_class_is_one_short_string_that_a_header_can_carry() -> None:
    runtime = runtime_version(CPU)
    assert numerics_class(CPU, "fp32", "avx512f", runtime) == f"cpu/fp32/avx512f/onnxruntime-{ort.__version__}"
    card = numerics_class(CUDA, "fp16", "NVIDIA H100 80GB HBM3 sm9.0", runtime_version(CUDA))
    assert card == f"cuda/fp16/nvidia-h100-80gb-hbm3-sm9.0/onnxruntime-{ort.__version__}"
    assert runtime_version(OPENVINO).startswith("openvino")
    assert card.isascii()
    assert len(card) < 100


def test_flags_are_read_as_both_kinds_of_kernels_write_them() -> None:
    assert flags_in("processor\t: 0\nflags\t\t: fpu avx2\n\nprocessor\t: 1\nflags\t\t: fpu\n") == {"fpu", "avx2"}
    assert flags_in("processor\t: 0\nFeatures\t: fp asimd i8mm\n") == {"fp", "asimd", "i8mm"}
    assert flags_in("nothing of that kind") == frozenset()


@pytest.mark.parametrize(("reference", "integers"), [("text-embedding@1.0.0", False), ("text-embedding@1.1.0", True)])
def test_an_engine_says_its_class_by_its_graph_and_this_processor(reference: str, integers: bool) -> None:
    artifact = artifact_of(reference)
    precision = artifact.spec.precision
    said = Engine(artifact.graph, EngineOptions(threads=1)).numerics(precision)
    here = instruction_set(processor_flags(), machine(), integers=integers)
    assert said == f"cpu/{precision}/{here}/onnxruntime-{ort.__version__}"

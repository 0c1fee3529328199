"""The options of the CUDA and TensorRT execution providers: pure functions of a card and an artifact."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.engine.providers import CPU, CUDA, TENSORRT

Options = dict[str, str]


@dataclass(frozen=True)
class Device:
    """How a session uses its card."""

    memory_limit: int | None = None  # bytes of its arena; None: as much as the card has
    cuda_graph: bool = False  # replay captured kernel launches; needs fixed shapes, one capture per bucket
    engines: Path | None = None  # where TensorRT keeps built engines; None: it builds them at each start
    profiles: Sequence[
        tuple[str, str, str]
    ] = ()  # for TensorRT: least, usual and largest shape of each input, each "name:1x2"


def cuda_options(device: Device) -> Options:
    """Options of the CUDA provider.

    ``kSameAsRequested``, because the default doubles the arena each time and would reach its limit early. ``HEURISTIC``,
    because an exhaustive search takes seconds for each new shape; our graphs hold no convolution, users' graphs may.
    Strict, because ``SkipLayerNormalization`` of the variant for cards would sum its squares in half precision otherwise.
    """
    options = {
        "device_id": "0",  # Ray shows each replica only its own card
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": "0",  # TF32 keeps only 10 bits of the mantissa, and fp32 should be fp32
        "enable_skip_layer_norm_strict_mode": "1",
        "enable_cuda_graph": "1" if device.cuda_graph else "0",
    }
    if device.memory_limit is not None:
        options["gpu_mem_limit"] = str(device.memory_limit)
    return options


def tensorrt_options(device: Device, *, fp16: bool) -> Options:
    """Options of the TensorRT provider; ``fp16`` only for fp16 graphs, so that the artifact decides the precision."""
    options = {
        "device_id": "0",
        "trt_fp16_enable": "1" if fp16 else "0",
        "trt_cuda_graph_enable": "1" if device.cuda_graph else "0",
    }
    if device.memory_limit is not None:
        options["trt_max_workspace_size"] = str(device.memory_limit)
    if device.engines is not None:
        options |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(device.engines),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(device.engines),
        }
    if device.profiles:
        for bound, index in (("min", 0), ("opt", 1), ("max", 2)):
            options[f"trt_profile_{bound}_shapes"] = ",".join(profile[index] for profile in device.profiles)
    return options


def with_options(providers: Sequence[str], device: Device, *, fp16: bool) -> list[tuple[str, Options]]:
    """Each provider with its options, as ``InferenceSession`` takes them."""
    known = {TENSORRT: tensorrt_options(device, fp16=fp16), CUDA: cuda_options(device), CPU: {}}
    return [(name, known.get(name, {})) for name in providers]


def engine_folder(root: Path, artifact: str, device: str, versions: str) -> Path:
    """The folder of an artifact's TensorRT engines; an engine fits one graph, one model of card and one set of versions.

    Args:
        root: the folder of all engines.
        artifact: its content hash or the graph's sha256, 64 hex digits.
        device: the card's name and compute capability.
        versions: of ONNX Runtime and TensorRT.
    """
    parts = json.dumps([artifact, device, versions])
    return root / f"{artifact[:12]}-{hashlib.sha256(parts.encode()).hexdigest()[:16]}"

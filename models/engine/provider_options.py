"""The options of CUDA's and TensorRT's execution providers: pure functions of what is known of card and artifact."""

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

    memory_limit: int | None = None  # bytes of its arena; None: the whole card
    cuda_graph: bool = False  # replay captured launches; only for shapes that never vary: one per bucket
    engines: Path | None = None  # the folder of TensorRT's built engines; None: built anew at each start
    profiles: Sequence[tuple[str, str, str]] = ()  # TensorRT: least, usual and largest shapes, each "name:1x2,name:1x2"


def cuda_options(device: Device) -> Options:
    """Options of the CUDA provider.

    ``kSameAsRequested`` because the default doubles the arena and would pass its limit early; ``HEURISTIC`` because our
    graphs hold no convolution and users' have one, for which an exhaustive search at each new batch takes seconds.
    """
    options = {
        "device_id": "0",  # Ray shows each replica its own card alone
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": "0",  # fp32 means fp32: TF32 keeps 10 bits of the mantissa
        "enable_cuda_graph": "1" if device.cuda_graph else "0",
    }
    if device.memory_limit is not None:
        options["gpu_mem_limit"] = str(device.memory_limit)
    return options


def tensorrt_options(device: Device, *, fp16: bool) -> Options:
    """Options of the TensorRT provider; ``fp16`` only for graphs that are fp16 themselves, so that precision is the artifact's."""
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
        for kind, index in (("min", 0), ("opt", 1), ("max", 2)):
            options[f"trt_profile_{kind}_shapes"] = ",".join(profile[index] for profile in device.profiles)
    return options


def with_options(providers: Sequence[str], device: Device, *, fp16: bool) -> list[tuple[str, Options]]:
    """Each provider with its options, as ``InferenceSession`` takes them."""
    known = {TENSORRT: tensorrt_options(device, fp16=fp16), CUDA: cuda_options(device), CPU: {}}
    return [(name, known.get(name, {})) for name in providers]


def engine_folder(root: Path, artifact: str, device: str, versions: str) -> Path:
    """Where TensorRT's engines of one artifact lie; an engine is good for one graph, kind of card and version alone.

    Args:
        root: the folder of all engines.
        artifact: the content hash, 64 hex digits, or the graph's sha256.
        device: the card's name and compute capability.
        versions: of ONNX Runtime and TensorRT.
    """
    parts = json.dumps([artifact, device, versions])
    return root / f"{artifact[:12]}-{hashlib.sha256(parts.encode()).hexdigest()[:16]}"

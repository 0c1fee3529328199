"""OpenVINO as a provider: a plugin that the stock ONNX Runtime loads. It computes bfloat16 with a processor's own instructions."""

from __future__ import annotations

import json
import threading
from collections.abc import Set
from functools import cache
from importlib import import_module

import onnxruntime as ort

from models.engine.numerics import HALVES
from models.engine.placement import Placement, products_by_provider
from models.engine.processor import processor_flags, processor_vendor
from models.engine.providers import OPENVINO, PLUGIN
from models.errors import ArtifactError

INTEL = "GenuineIntel"
MODULE = "onnxruntime_ep_openvino"
_LOCK = threading.Lock()


def configure(settings: ort.SessionOptions, *, bf16: bool, threads: int) -> None:
    """Have a session computed by OpenVINO on this processor.

    As many runs at a time as there are threads, each on a thread of its own: two streams of one thread compute a third more
    than one of two.

    Args:
        settings: of the session.
        bf16: whether products may be rounded to bfloat16; otherwise all is float32.
        threads: how many.

    Raises:
        ArtifactError: the plugin is not installed, or does not load.
    """
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "NUM_STREAMS": str(threads),
        "INFERENCE_NUM_THREADS": str(threads),
    }
    settings.add_provider_for_devices([_device()], {"load_config": json.dumps({"CPU": options})})


def bf16_refusal(flags: Set[str] | None = None, vendor: str | None = None) -> str | None:
    """Why bfloat16 is not computed on a processor; None where it is.

    Args:
        flags: of the processor; None for this one.
        vendor: of the processor; None for this one.
    """
    flags = processor_flags() if flags is None else flags
    vendor = processor_vendor() if vendor is None else vendor
    has = next((name for name, needed in HALVES if needed <= flags), None)
    if has is None:
        return f"this processor has no instructions for bfloat16 (none of {', '.join(name for name, _ in HALVES)} among its flags)"
    if vendor != INTEL:
        return f"this processor has {has}, and OpenVINO's plugin offers itself on Intel's processors alone, not on {vendor or 'this one'}"
    return None


def require_bf16(name: str) -> None:
    """Refuse to compute a graph in bfloat16 where no provider does.

    Raises:
        ArtifactError: says what is missing, and where it would start.
    """
    refusal = bf16_refusal()
    if refusal is not None:
        raise ArtifactError(
            f"{name} is computed in bfloat16, and {refusal}. Place it on nodes with Intel Xeons from Sapphire Rapids on (amx_bf16), "
            f"or serve its fp32 or int8 version here"
        )


def require_all(placed: Placement, name: str) -> None:
    """Check that OpenVINO computes every product of a graph.

    Raises:
        ArtifactError: ONNX Runtime computes some itself, in other numbers than the label would say.
    """
    by_provider = products_by_provider(placed)
    if others := sum(count for provider, count in by_provider.items() if provider != OPENVINO):
        raise ArtifactError(
            f"OpenVINO takes {by_provider.get(OPENVINO, 0)} products of {name} and leaves {others} to ONNX Runtime; it takes graphs "
            f"of standard operators, such as those of bf16 versions, and no int8 ones"
        )


@cache
def _device() -> ort.OrtEpDevice:
    with _LOCK:
        try:
            plugin = import_module(MODULE)
            ort.register_execution_provider_library(OPENVINO, plugin.get_library_path())
        except ImportError:
            raise ArtifactError(
                f"provider openvino needs the package {PLUGIN}, which embedserve[cpu] brings on x86-64 Linux"
            ) from None
        except Exception as error:  # the bindings raise a different type for each of ORT's status codes
            raise ArtifactError(f"{PLUGIN} does not load: {str(error).splitlines()[0]}") from error
        kind = ort.OrtHardwareDeviceType.CPU
        found = [one for one in ort.get_ep_devices() if one.ep_name == OPENVINO and one.device.type == kind]
    if not found:
        raise ArtifactError(f"{PLUGIN} finds no processor that it computes on")
    return found[0]

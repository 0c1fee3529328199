"""What ONNX Runtime does not raise: a provider whose libraries do not load is left out, with a line on the standard error.

So we look for the first library, driver or card that is missing ourselves, in the order in which CUDA needs them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from models.engine.card_trouble import Trouble
from models.engine.providers import CUDA, TENSORRT

DRIVER = "libcuda.so.1"
# Of the wheels that requirements/gpu.txt locks: CUDA 13 and cuDNN 9; TensorRT 10 is nobody's dependency.
CUDA_VERSION = 13_000  # as the driver spells it
LIBRARIES = {
    CUDA: (
        "libcudart.so.13",
        "libcublasLt.so.13",
        "libcublas.so.13",
        "libcurand.so.10",
        "libcufft.so.12",
        "libcudnn.so.9",
    ),
    TENSORRT: ("libnvinfer.so.10", "libnvonnxparser.so.10"),
}
NO_DEVICE = 100  # CUDA's error codes


def missing(provider: str, available: Sequence[str]) -> Trouble:
    """Why a session did not get a provider, although nothing was raised.

    Args:
        provider: that was asked for.
        available: those that this build of ONNX Runtime has.
    """
    if provider not in available:
        return Trouble("not_built", f"this ONNX Runtime is built without {provider}")
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError as error:
        return Trouble("no_driver", f"no driver is here: {error}")
    return _of_driver(driver) or _of_libraries(provider) or Trouble("unknown", f"{provider} does not load")


def _of_driver(driver: Any) -> Trouble | None:
    version = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(version)) == 0 and 0 < version.value < CUDA_VERSION:
        runs = f"{version.value // 1000}.{version.value % 1000 // 10}"
        return Trouble("driver_too_old", f"the driver runs CUDA {runs} and older, and the wheels are of CUDA 13")
    code = driver.cuInit(0)
    if code == NO_DEVICE:
        return Trouble("no_card", "the driver shows this process no card (cuInit: 100)")
    return Trouble("card_failed", f"the driver does not start (cuInit: {code})") if code else None


def _of_libraries(provider: str) -> Trouble | None:
    for name in (*LIBRARIES[CUDA], *(LIBRARIES[TENSORRT] if provider == TENSORRT else ())):
        try:
            ctypes.CDLL(name)
        except OSError as error:
            return Trouble("library", f"{name} does not load: {error}")
    return None

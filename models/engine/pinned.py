"""Host memory that a card reads by itself; from any other the driver first copies into memory of its own.

ONNX Runtime has such memory for CUDA and offers none of it to Python, so pages of ours are registered with CUDA.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import weakref
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

RUNTIMES = ("libcudart.so.13", "libcudart.so.12")  # the one that ONNX Runtime has loaded
PORTABLE = 1  # for every context of the process


def pinned(shape: tuple[int, ...], kind: np.dtype[Any]) -> NDArray[Any]:
    """Zeros in pages of their own, registered with CUDA as long as the array lives; plain memory where that fails."""
    count = math.prod(shape)
    pages = mmap.mmap(-1, max(count * kind.itemsize, 1))
    array: NDArray[Any] = np.frombuffer(pages, kind, count).reshape(shape)
    register(array)
    return array


def register(array: NDArray[Any]) -> bool:
    """Pin the pages of an array until it is freed; whether there was a CUDA that did."""
    runtime = _runtime()
    if runtime is None or not array.nbytes:
        return False
    address = ctypes.c_void_p(array.ctypes.data)
    if runtime.cudaHostRegister(address, ctypes.c_size_t(array.nbytes), ctypes.c_uint(PORTABLE)):
        runtime.cudaGetLastError()  # else a kernel of ONNX Runtime finds this error and takes it for its own
        return False
    weakref.finalize(array, runtime.cudaHostUnregister, address)
    return True


@cache
def _runtime() -> Any | None:
    """CUDA's runtime library if this process has loaded it; cached, as it is asked for once a card computes."""
    for name in RUNTIMES:
        try:
            return ctypes.CDLL(name, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        except OSError:
            continue
    return None

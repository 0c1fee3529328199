"""Pinned host memory: a card reads it directly, while the driver copies other memory into a buffer of its own first.

ONNX Runtime has pinned memory for CUDA but does not offer it to Python. So we allocate pages and register them with CUDA.
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

RUNTIMES = ("libcudart.so.13", "libcudart.so.12")  # ONNX Runtime has loaded one of them
PORTABLE = 1  # cudaHostRegisterPortable: pinned for every CUDA context of the process


def pinned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array of zeros, pinned for as long as it lives; not pinned where that fails."""
    count = math.prod(shape)
    pages = mmap.mmap(-1, max(count * dtype.itemsize, 1))
    array: NDArray[Any] = np.frombuffer(pages, dtype, count).reshape(shape)
    register(array)
    return array


def register(array: NDArray[Any]) -> bool:
    """Pin the pages of an array until it is freed; returns whether CUDA did it."""
    runtime = _runtime()
    if runtime is None or not array.nbytes:
        return False
    address = ctypes.c_void_p(array.ctypes.data)
    if runtime.cudaHostRegister(address, ctypes.c_size_t(array.nbytes), ctypes.c_uint(PORTABLE)):
        runtime.cudaGetLastError()  # clear the error, or the next kernel of ONNX Runtime reports it as its own
        return False
    weakref.finalize(array, runtime.cudaHostUnregister, address)
    return True


@cache
def _runtime() -> Any | None:
    """CUDA's runtime library if this process has loaded it. First called after a session uses a card, so it may be cached."""
    for name in RUNTIMES:
        try:
            return ctypes.CDLL(name, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        except OSError:
            continue
    return None

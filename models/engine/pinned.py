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

from models.engine.card_trouble import Trouble

RUNTIMES = ("libcudart.so.13", "libcudart.so.12")  # ONNX Runtime has loaded one of them
PORTABLE = 1  # cudaHostRegisterPortable: pinned for every CUDA context of the process


def pinned(shape: tuple[int, ...], dtype: np.dtype[Any], noticed: list[Trouble] | None = None) -> NDArray[Any]:
    """An array of zeros, [*shape], pinned for as long as it lives; not pinned where that fails, which goes into ``noticed``."""
    count = math.prod(shape)
    pages = mmap.mmap(-1, max(count * dtype.itemsize, 1))
    array: NDArray[Any] = np.frombuffer(pages, dtype, count).reshape(shape)
    trouble = register(array)
    if trouble is not None and noticed is not None:
        noticed.append(trouble)
    return array


def register(array: NDArray[Any]) -> Trouble | None:
    """Pin the pages of an array until it is freed; returns why CUDA did not."""
    if not array.nbytes:
        return None
    runtime = _runtime()
    if runtime is None:
        return Trouble(
            "not_pinned", f"no CUDA runtime is in this process ({', '.join(RUNTIMES)}) that pins host memory"
        )
    address = ctypes.c_void_p(array.ctypes.data)
    code = runtime.cudaHostRegister(address, ctypes.c_size_t(array.nbytes), ctypes.c_uint(PORTABLE))
    if code:
        runtime.cudaGetLastError()  # clear the error, or the next kernel of ONNX Runtime reports it as its own
        return Trouble("not_pinned", f"CUDA pins no host memory (cudaHostRegister: {code})")
    weakref.finalize(array, runtime.cudaHostUnregister, address)
    return None


@cache
def _runtime() -> Any | None:
    """CUDA's runtime library if this process has loaded it. First called after a session uses a card, so it may be cached."""
    for name in RUNTIMES:
        try:
            return ctypes.CDLL(name, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        except OSError:
            continue
    return None

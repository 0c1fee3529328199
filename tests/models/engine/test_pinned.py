from __future__ import annotations

import mmap

import numpy as np
import pytest

from models.engine.card_trouble import Trouble
from models.engine.pinned import pinned, register


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((2, 224, 224, 3), np.uint8), ((4, 8), np.int64), ((1, 1), np.float16), ((0, 8), np.int64)],
    ids=["pictures", "token ids", "one number", "nothing"],
)
def test_pinned_memory_is_zeros_in_pages_of_its_own(shape: tuple[int, ...], kind: type[np.generic]) -> None:
    array = pinned(shape, np.dtype(kind))
    assert (array.shape, array.dtype) == (shape, np.dtype(kind))
    assert array.flags.c_contiguous
    assert array.ctypes.data % mmap.PAGESIZE == 0
    assert not array.any()
    array[...] = 1
    assert array.all()


def test_without_a_cuda_runtime_in_the_process_memory_stays_plain() -> None:
    noticed: list[Trouble] = []
    pinned((4096,), np.dtype(np.uint8), noticed)
    assert [trouble.cause for trouble in noticed] == ["not_pinned"]
    assert "no CUDA runtime is in this process" in str(noticed[0])


def test_nothing_needs_no_pinning() -> None:
    assert register(np.zeros(0, np.uint8)) is None

"""The batch shapes that a card runs: few enough to warm up all of them, and enough to keep padding small."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Beyond 16, each is less than a third above the one before it, so that less than a quarter of a run is padding; up to 16 a card's
# time is that of starting its kernels.
ROWS = (1, 2, 4, 8, 12, 16, *(step << i for i in range(7) for step in (20, 24, 32)))  # up to 2,048
IMAGES = tuple(rows for rows in ROWS if rows <= 512)  # larger batches make CLIP ViT-B/32 faster on no known card
# Tokens, in multiples of 8, as products of halves want them; most search queries have fewer than 16.
LENGTHS = (8, 16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512)
# Of runs on a processor, where every row costs time: a batch is cut into rows of these numbers, and padded where that is cheaper.
CUT_ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
CUT_LENGTHS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512)
CUT_CELLS = 1024  # padded tokens of one run
# A run costs as much as these padded tokens before it computes any: 1.5 ms for one row of 16 tokens, 0.84 ms for each further one
# (MiniLM in bf16, AMD EPYC with avx512_bf16). So 47 texts are 24 and 23, instead of 16, 16, 8, 4, 2 and 1 which take 9 % longer.
RUN_CELLS = 12
# One picture takes 32 ms of a core, two 52, four 90, eight 146 (CLIP in bf16, Intel Xeon with AMX): three in one run take less than in two.
CUT_IMAGES = (1, 2, 3, 4, 6, 8)
TOKENS = 65_536  # padded tokens of one run: 256 texts of 256 tokens, or 2,048 of 32


@dataclass(frozen=True)
class Buckets:
    """The batch sizes, and for text the lengths, that inputs are padded to."""

    rows: tuple[int, ...]
    lengths: tuple[int, ...] | None = None  # None: the second dimension is fixed
    cells: int | None = None  # the largest rows × length; a single row may exceed it
    cut: bool = False  # a batch is cut into buckets of rows

    def rows_for(self, count: int) -> int:
        """The smallest bucket of rows that holds ``count``.

        Raises:
            ValueError: no bucket does; the caller must split the batch first.
        """
        return _at_least(self.rows, count, "rows")

    def length_for(self, length: int) -> int:
        """The smallest bucket of lengths that holds ``length``; ``length`` itself if it exceeds all buckets."""
        if self.lengths is None or length > self.lengths[-1]:
            return length
        return _at_least(self.lengths, length, "tokens")

    def most_rows(self, length: int) -> int:
        """How many rows of ``length`` tokens one run takes, once they are padded to their bucket."""
        fit = self.rows[-1] if self.cells is None else self.cells // self.length_for(length)
        return max((rows for rows in self.rows if rows <= fit), default=self.rows[0])

    def parts(self, count: int, length: int, threads: int = 1) -> list[int]:
        """How many of ``count`` rows of ``length`` tokens each run takes: the cheapest runs in buckets, so that each thread has some.

        Args:
            count: rows.
            length: tokens of each, padding included; 0 if rows have none.
            threads: that compute runs of their own.
        """
        most = self.most_rows(length) if self.lengths else self.rows[-1]
        sizes = tuple(rows for rows in reversed(self.rows) if rows <= most)
        share = -(-count // threads)
        parts: list[int] = []
        for left in range(count, 0, -share):
            parts += _cheapest(min(share, left), sizes, RUN_CELLS / length if length else 0)
        return parts

    def shapes(self) -> Iterator[tuple[int, int | None]]:
        """Every bucket as rows and length, smallest first; the length is None if the graph fixes it."""
        for length in self.lengths or (None,):
            most = self.most_rows(length or 0) if self.lengths else self.rows[-1]
            yield from ((rows, length) for rows in self.rows if rows <= most)


def cut_text_buckets(longest: int) -> Buckets:
    """Buckets of texts on a processor, up to ``longest`` tokens each; a text's bits depend on the bucket of its length."""
    lengths = tuple(sorted({*(length for length in CUT_LENGTHS if length < longest), longest}))
    return Buckets(CUT_ROWS, lengths, CUT_CELLS, cut=True)


def cut_image_buckets() -> Buckets:
    """Buckets of pictures on a processor."""
    return Buckets(CUT_IMAGES, cut=True)


def image_buckets(largest: int | None = None) -> Buckets:
    """Buckets of pictures, up to the smallest that holds ``largest`` of them."""
    return Buckets(_up_to(IMAGES, largest or IMAGES[-1]))


def text_buckets(longest: int = LENGTHS[-1], cells: int | None = None) -> Buckets:
    """Buckets of texts, up to ``longest`` tokens each and ``cells`` padded tokens at once.

    Args:
        longest: the model's limit, which is always the last bucket: the model has no positions beyond it.
        cells: the largest rows × length of a run.
    """
    cells = cells or TOKENS
    lengths = tuple(sorted({*(length for length in LENGTHS if length < longest), longest}))
    return Buckets(_up_to(ROWS, cells // lengths[0]), lengths, cells)


def pad(array: NDArray[Any], rows: int, length: int | None = None) -> NDArray[Any]:
    """Pad [n, t, ...] to [rows, length, ...]: new columns are 0, new rows repeat the first row, so that they are valid.

    Args:
        array: has at least one row.
        rows: at least n.
        length: at least t; None leaves the second dimension as it is.
    """
    count = len(array)
    shape = (rows, *array.shape[1:]) if length is None else (rows, length, *array.shape[2:])
    if shape == array.shape:
        return array
    padded = np.zeros(shape, array.dtype)
    if length is None:
        padded[:count] = array
    else:
        padded[:count, : array.shape[1]] = array
    padded[count:] = padded[0]
    return padded


def cut(vectors: NDArray[Any], count: int) -> NDArray[Any]:
    """The first ``count`` rows, [count, ...], as a copy, so that the buffer can be used again."""
    return np.array(vectors[:count])


def _cheapest(count: int, sizes: tuple[int, ...], run: float) -> list[int]:
    """``count`` rows as runs of these sizes, largest first, of which the last may be padded; a run costs as much as ``run`` rows."""
    whole = max(count // sizes[0] - 1, 0)
    return [sizes[0]] * whole + list(_split(count - whole * sizes[0], sizes, run)[1])


@lru_cache(8192)
def _split(count: int, sizes: tuple[int, ...], run: float) -> tuple[float, tuple[int, ...]]:
    """The cost in rows, and the rows of each run."""
    if count <= 0:
        return 0, ()
    rests = [(size, _split(count - size, sizes, run)) for size in sizes]
    size, (cost, rest) = min(rests, key=lambda option: option[0] + option[1][0])
    return cost + size + run, (min(size, count), *rest)


def _up_to(sizes: tuple[int, ...], largest: int) -> tuple[int, ...]:
    return sizes[: min(bisect_left(sizes, largest), len(sizes) - 1) + 1]


def _at_least(sizes: tuple[int, ...], wanted: int, unit: str) -> int:
    index = bisect_left(sizes, wanted)
    if index == len(sizes):
        raise ValueError(f"{wanted} {unit} exceed the largest bucket of {sizes[-1]}")
    return sizes[index]

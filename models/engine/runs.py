"""Cuts batches into runs of a graph: rows of similar length run together, as many as the processor's caches hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from models.engine.buckets import Buckets

# Padded tokens of a batch. Larger batches are no faster, and their activations only take memory.
BATCH_TOKENS = 4096
TOKENS_PER_THREAD = 64  # computing fewer takes less time than waking another thread
# Padded tokens of one run per core, so that a layer's results stay in the core's cache. 4,096 tokens on 2 cores take
# 190 ms in one run and 121 ms in runs of 256 (int8; in fp32 421 and 362 ms).
TOKENS_PER_RUN = 256
WASTE = 8  # at most one eighth of a run is padding
NEVER_WASTEFUL = 4  # so few rows run together whatever their padding: every further run has a fixed cost


@dataclass(frozen=True)
class RunLimits:
    """How large the runs of one engine are."""

    tokens: int = BATCH_TOKENS  # padded tokens of a batch
    threads: int = 1  # those that no other run keeps busy
    by_input: bool = False  # each thread computes rows of its own; otherwise the threads share every operator
    whole: bool = False  # a batch is one run, as on a card, which pads it to a fixed shape
    # Rows of one length alone run together, in numbers that fill a bucket: so each row's bits are its own.
    buckets: Buckets | None = None


def runs_of(lengths: Sequence[int], limits: RunLimits) -> list[list[int]]:
    """Cut rows into runs.

    Args:
        lengths: tokens of each row, as the engine pads it.
        limits: how large the engine's runs are.

    Returns:
        The row indices of each run, shorter rows first.
    """
    if limits.buckets is not None:
        return _filled(lengths, limits.buckets, limits.threads)
    batches = batches_by_length(lengths, limits.tokens)
    if limits.whole:
        return batches
    return [run for batch in batches for run in _split(batch, lengths[batch[-1]], limits)]


def _filled(lengths: Sequence[int], buckets: Buckets, threads: int) -> list[list[int]]:
    """Runs of rows of equal length that fill a bucket of rows."""
    groups: dict[int, list[int]] = {}
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        groups.setdefault(lengths[index], []).append(index)
    runs = []
    for length, rows in groups.items():
        start = 0
        for size in buckets.parts(len(rows), length, threads):
            runs.append(rows[start : start + size])
            start += size
    return runs


def _split(batch: list[int], length: int, limits: RunLimits) -> list[list[int]]:
    """Cut a batch that is padded to ``length`` into equal parts."""
    parts = run_parts(len(batch), length, limits.threads, by_input=limits.by_input)
    size, rest = divmod(len(batch), parts)
    ends = [(part + 1) * size + min(part + 1, rest) for part in range(parts)]
    return [batch[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def run_parts(count: int, length: int, threads: int, *, by_input: bool) -> int:
    """How many runs a batch of rows is split into on a CPU.

    Args:
        count: rows.
        length: tokens of each row, padding included.
        threads: those that no other run keeps busy.
        by_input: whether each thread computes rows of its own.
    """
    size = count * length
    if by_input:
        # Whole rounds: three runs on two threads take as long as four.
        rounds = math.ceil(size / TOKENS_PER_RUN / threads)
        parts = min(threads, size // TOKENS_PER_THREAD) if rounds == 1 else rounds * threads
    else:
        parts = math.ceil(size / (TOKENS_PER_RUN * threads))
    return max(1, min(parts, count))


def batches_by_length(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Put rows of similar length together.

    Args:
        lengths: tokens of each row.
        budget: padded tokens of a batch; a longer row is a batch of its own.

    Returns:
        The row indices of each batch. A batch ends where the next row would exceed the budget, or make more than an eighth
        of it padding.
    """
    batches: list[list[int]] = []
    current: list[int] = []
    tokens = 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        longest = lengths[index]
        padded = longest * (len(current) + 1)
        full = padded > budget
        wasteful = len(current) >= NEVER_WASTEFUL and (padded - tokens - longest) * WASTE > padded
        if current and (full or wasteful):
            batches.append(current)
            current, tokens = [], 0
        current.append(index)
        tokens += longest
    if current:
        batches.append(current)
    return batches


def padding(lengths: Sequence[int]) -> float:
    """The part of the computed tokens, 0 to 1, that is padding when rows of these lengths run together."""
    batches = batches_by_length(lengths, BATCH_TOKENS)
    return 1 - sum(lengths) / sum(lengths[batch[-1]] * len(batch) for batch in batches)

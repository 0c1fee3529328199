"""Where batches are cut into runs of a graph: rows of similar length together, as much at once as the caches hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Padded tokens of one run. Above it a batch gains no speed and its activations only take memory.
BATCH_TOKENS = 4096
TOKENS_PER_THREAD = 64  # fewer are computed sooner than another thread wakes
# Of one run, per core: what a layer computes then stays in its cache. 4,096 tokens on 2 cores take 190 ms in one run
# and 121 in runs of 256 (int8; fp32: 421 and 362).
TOKENS_PER_RUN = 256
WASTE = 8  # padding may be one part in so many of a run
NEVER_WASTEFUL = 4  # rows: so few are padded whatever it costs, for each run has a cost of its own


@dataclass(frozen=True)
class RunLimits:
    """How large the runs of one engine are."""

    tokens: int = BATCH_TOKENS  # padded, of rows that are padded together
    threads: int = 1  # that nothing else keeps busy
    by_input: bool = False  # each thread computes rows of its own, instead of sharing every operator
    whole: bool = False  # rows that are padded together run together: a card's shapes are fixed


def runs_of(lengths: Sequence[int], limits: RunLimits) -> list[list[int]]:
    """Cut rows into runs.

    Args:
        lengths: tokens that each row is computed as.
        limits: of the engine.

    Returns:
        Row indices of each run, in order of length.
    """
    batches = batches_by_length(lengths, limits.tokens)
    if limits.whole:
        return batches
    return [run for batch in batches for run in _split(batch, lengths[batch[-1]], limits)]


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
        length: tokens of each, padding included.
        threads: that nothing else keeps busy.
        by_input: whether each thread computes rows of its own.
    """
    size = count * length
    if by_input:
        parts = max(min(threads, size // TOKENS_PER_THREAD), math.ceil(size / TOKENS_PER_RUN))
    else:
        parts = math.ceil(size / (TOKENS_PER_RUN * threads))
    return max(1, min(parts, count))


def batches_by_length(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Put rows of similar length together.

    Args:
        lengths: tokens of each row.
        budget: padded tokens that a batch may hold; a single longer row is a batch of its own.

    Returns:
        Row indices of each batch. A batch is closed when padding would exceed an eighth of it, or its budget is full.
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
    """The part, from 0 to 1, of what rows of these lengths run as together that is padding."""
    batches = batches_by_length(lengths, BATCH_TOKENS)
    return 1 - sum(lengths) / sum(lengths[batch[-1]] * len(batch) for batch in batches)

"""What a job ends with, as JSON has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deployments.backfill.begun import Begun
from deployments.backfill.ledger import Block, Manifest
from models.redaction import redacted


@dataclass
class Timing:
    """How long this start of a job took."""

    seconds: float = 0.0
    engines: int = 1


def summary(
    begun: Begun, manifest: Manifest, done: dict[int, Block], timing: Timing, before: set[int] | None = None
) -> dict[str, Any]:
    """The document.

    Args:
        begun: the job.
        manifest: of its run.
        done: the blocks that are in the sink.
        timing: of this start.
        before: the blocks that earlier starts did; None: all of them.
    """
    before = set(done) if before is None else before
    now = [block for number, block in done.items() if number not in before]
    seconds = timing.seconds
    rows = sum(block.rows for block in now)
    busy = sum(block.engine_s for block in now)
    return {
        "model": manifest.reference,
        "hash": manifest.hash,
        "numerics": manifest.numerics,
        "weights": manifest.weights,
        "source": manifest.source,
        "sink": redacted(begun.job.vectors.sink),
        "run": begun.number,
        "rows": manifest.rows,
        "embedded": sum(block.rows for block in done.values()),
        "kept": sum(block.kept for block in done.values()),
        "bad": bad(done),
        "bad_file": begun.run.write_bad(done),
        "blocks": manifest.blocks,
        "this_start": {
            "blocks": len(now),
            "embedded": rows,
            "seconds": round(seconds, 3),
            "rows_per_second": round(rows / seconds, 2) if seconds else 0.0,
            "engine_utilisation": round(busy / seconds / timing.engines, 3) if seconds else 0.0,
        },
    }


def rows_done(done: dict[int, Block]) -> int:
    """Rows of the source that need no more work."""
    return sum(block.rows + block.kept + len(block.bad) for block in done.values())


def bad(done: dict[int, Block]) -> int:
    """Rows that cannot be embedded."""
    return sum(len(block.bad) for block in done.values())

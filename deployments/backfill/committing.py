"""The third stage: a block goes into the sink, and then into the job's notes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from deployments.backfill import block
from deployments.backfill.block import Carried
from deployments.backfill.ledger import Block, Run
from deployments.backfill.sinks.base import Sink, Stamp, sink_rows
from models.errors import EmbedserveError


@dataclass(frozen=True)
class Outcome:
    """What became of a block."""

    block: Block
    error: str = ""


@dataclass(frozen=True)
class Commit:
    """Writes blocks; sent to the workers as it is."""

    sink: Sink
    stamp: Stamp
    run: Run

    def __call__(self, carried: Carried) -> Outcome:
        """Write one. Ended between sink and notes, the same block is written again by the next start, over itself."""
        done = Block(number=carried["number"], rows=0)
        if carried["error"]:
            return Outcome(done, carried["error"])
        table = block.unpack(carried["rows"])
        done = Block(
            number=carried["number"],
            rows=table.num_rows,
            kept=carried["kept"],
            bad=tuple(block.bad_of(carried)),
            engine_s=carried["engine_s"],
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        try:
            if table.num_rows:
                self.sink.write(self.stamp, done.number, sink_rows(self.stamp, table))
            self.run.note(done)
        except EmbedserveError as error:
            return Outcome(done, str(error))
        return Outcome(done)

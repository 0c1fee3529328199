"""A backfill as a person at a terminal follows it, and as a log keeps it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from deployments.backfill.ledger import Block

LINE_S = 10.0  # between two lines where there is no terminal


class Follower:
    """Counts blocks and shows them on standard error: as a bar, or a line every ten seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._start = self._said = time.monotonic()
        self._total = self._done = self._before = self._bad = 0
        self._engines, self._busy = 1, 0.0

    def begin(self, total: int, done: int, bad: int, engines: int) -> None:
        """Show how much there is to do."""
        self._start = self._said = time.monotonic()
        self._total, self._done, self._before, self._bad, self._engines = total, done, done, bad, engines
        if self._console.is_terminal:
            whole = Column(no_wrap=True)  # where the terminal is narrow the bar gets shorter, and not the numbers
            done_of = MofNCompleteColumn(table_column=whole)
            columns = (BarColumn(), done_of, TextColumn("{task.description}"), TimeElapsedColumn(whole))
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=total, completed=done)
        else:
            self.say(f"{total} rows" + (f", {done} of them done before" if done else ""))

    def note(self, block: Block, engines: int) -> None:
        """A block is in the sink; so many engines have computed until now, of those that may."""
        self._engines = engines
        self._done += block.rows + block.kept + len(block.bad)
        self._bad += len(block.bad)
        self._busy += block.engine_s
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, description=self.line())
        elif time.monotonic() - self._said >= LINE_S:
            self._said = time.monotonic()
            self.say(f"{self._done} of {self._total} rows, {self.line()}")

    def line(self) -> str:
        """Rate, time left, bad rows, and the share of the time in which the engines computed."""
        seconds = max(time.monotonic() - self._start, 1e-9)
        rate = (self._done - self._before) / seconds
        left = f"{_duration((self._total - self._done) / rate)} left" if rate else "time left unknown"
        busy = f", engines {min(1.0, self._busy / seconds / self._engines):.0%} busy" if self._busy else ""
        return (
            f"{rate:.{1 if rate < 100 else 0}f} rows/s, {left}, {self._bad} bad{busy}"  # those of a service tell nobody
        )

    def say(self, message: str) -> None:
        """Print one line."""
        self._console.print(escape(message), highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Give the terminal back."""
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def following() -> Iterator[Follower]:
    """A follower that gives the terminal back however the job ends."""
    follower = Follower(Console(stderr=True))
    try:
        yield follower
    finally:
        follower.close()


def print_summary(summary: dict[str, Any]) -> None:
    """The summary as one line of JSON on standard output; a warning before it where weights are random."""
    import orjson

    if summary["weights"] == "synthetic":
        print(f"warning: {summary['model']} has synthetic weights: these vectors carry no meaning", file=sys.stderr)
    print(orjson.dumps(summary).decode())


def _duration(seconds: float) -> str:
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"

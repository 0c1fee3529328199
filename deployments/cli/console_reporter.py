"""Downloads and builds as a person at a terminal follows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from models.redaction import redacted


class ConsoleReporter:
    """Draws downloads as bars and prints notes above them, on standard error; a ``Reporter`` of ``models``."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def note(self, message: str) -> None:
        """Print one line."""
        self._progress.console.print(escape(redacted(message)), highlight=False, soft_wrap=True)

    def progress(self, label: str, done: int, total: int | None) -> None:
        """Move the bar of ``label``, bytes; the first call draws it, the last removes it."""
        if label not in self._tasks:
            self._progress.start()
            self._tasks[label] = self._progress.add_task(escape(label), total=total)
        self._progress.update(self._tasks[label], completed=done, total=total)
        if total is not None and done >= total:
            self._progress.remove_task(self._tasks.pop(label))

    def close(self) -> None:
        """Give the terminal back."""
        self._progress.stop()


@contextmanager
def console_reporter() -> Iterator[ConsoleReporter]:
    """A reporter that gives the terminal back however the work ends."""
    reporter = ConsoleReporter()
    try:
        yield reporter
    finally:
        reporter.close()

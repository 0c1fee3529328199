"""``embedserve models``: what there is, where it comes from, and whether it works. Needs no Ray and no service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from models.catalog import Catalog, ModelSpec
from models.errors import EmbedserveError
from models.store import is_synthetic, kept_artifact, pull
from models.verify import Check, verify

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="The model catalogue: list, pull and verify versions.")

References = Annotated[
    list[str] | None, typer.Argument(help="NAME or NAME@VERSION, any number; every version when left out.")
]


class Profile(StrEnum):
    """What a machine is for; production refuses what must never reach users."""

    development = "development"
    production = "production"


class ConsoleReporter:
    """Draws downloads as bars and says notes above them, on standard error."""

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
        """Say one line."""
        self._progress.console.print(escape(message), highlight=False, soft_wrap=True)

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


def warn_synthetic(specs: list[ModelSpec], console: Console | None = None) -> None:
    """Print a warning nobody can miss when the weights of any of these versions are random."""
    names = ", ".join(spec.reference for spec in specs)
    if specs:
        text = f"[bold]{names}[/bold]: no source of the real weights answered, so that random ones stand in.\n"
        text += "Their vectors carry NO MEANING: good for trying the service, useless for search.\n"
        text += "With a hub that answers (HF_ENDPOINT names a mirror), `embedserve models pull` fetches the real ones."
        (console or Console(stderr=True)).print(Panel(text, title="SYNTHETIC WEIGHTS", style="bold red", expand=True))


def selected(references: list[str] | None) -> list[ModelSpec]:
    """The catalogue entries of references; a name alone means all its versions, nothing means everything.

    Raises:
        CatalogError: the catalogue is invalid.
        ModelNotFoundError: there is no such name or version.
    """
    catalog = Catalog.load()
    specs: list[ModelSpec] = []
    for reference in references or []:
        versions = catalog.models.get(reference)
        specs += versions.values() if versions else [catalog.find(reference)]
    return specs or catalog.specs()


def fail(error: EmbedserveError) -> typer.Exit:
    """Print an error for a person and give the exit to raise."""
    Console(stderr=True).print(f"[bold red]error:[/bold red] {escape(str(error))}", highlight=False, soft_wrap=True)
    return typer.Exit(1)


def _or_fail(step: Callable[[], T]) -> T:
    try:
        return step()
    except EmbedserveError as error:
        raise fail(error) from None


@app.command("list")
def list_models() -> None:
    """List every version, what it is, and whether its files are here."""
    table = Table("model", "type", "dimensions", "precision", "weights", "size", "sources", "hash")
    for spec in _or_fail(lambda: selected(None)):
        kept = kept_artifact(spec)
        weights = "[red]synthetic[/red]" if kept and is_synthetic(kept) else "pretrained"
        size = f"{kept.graph.stat().st_size / 1e6:.0f} MB" if kept else "-"
        row = [spec.reference, spec.type, str(spec.dimensions), spec.precision, weights if kept else "not pulled", size]
        table.add_row(*row, escape("\n".join(map(str, spec.sources))), kept.hash[:12] if kept else "-")
    Console().print(table)


@app.command("pull")
def pull_models(
    references: References = None,
    profile: Annotated[
        Profile,
        typer.Option(
            help="development lets labelled random weights stand in where no source answers; production refuses them."
        ),
    ] = Profile.development,
) -> None:
    """Get or build what the store lacks; what is there and unchanged is left alone."""
    synthetic: list[ModelSpec] = []
    failed = False
    with console_reporter() as reporter:
        for spec in _or_fail(lambda: selected(references)):
            try:
                artifact = pull(spec, allow_synthetic=profile is Profile.development, reporter=reporter)
            except EmbedserveError as error:
                fail(error)
                failed = True
                continue
            if is_synthetic(artifact):
                synthetic.append(spec)
            reporter.note(f"{spec.reference}: ready, {artifact.graph.name}, hash {artifact.hash[:12]}")
    warn_synthetic(synthetic)
    if failed:
        raise typer.Exit(1)


@app.command("verify")
def verify_models(references: References = None) -> None:
    """Check that each version's files are unchanged, load and embed; exit code 1 when one does not."""
    table = Table("model", "check", "", "detail")
    failed = False
    for spec in _or_fail(lambda: selected(references)):
        for check in verify(spec):
            table.add_row(spec.reference, check.name, _mark(check), escape(check.detail))
            failed |= not check.passed
        table.add_section()
    Console().print(table)
    if failed:
        raise typer.Exit(1)


def _mark(check: Check) -> str:
    return "[green]ok[/green]" if check.passed else "[bold red]FAILED[/bold red]"

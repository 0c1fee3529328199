"""``embedserve models``: what there is, where it comes from, and whether it works. Needs no Ray and no service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from models.catalog.catalog import Catalog, ModelSpec, catalog_path
from models.catalog.custom import add_entry, describe_folder, require_new
from models.catalog.store import is_synthetic, kept_artifact, pull
from models.comparison import embed_sample, milliseconds, parameters, plot_cosines, read_sample
from models.embedder import open_embedder
from models.errors import ArtifactError, EmbedserveError
from models.fidelity import compare, cosines
from models.graph.builder import save
from models.graph.onnx_file import load
from models.graph.rewrite import quantise_model
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


class Tower(StrEnum):
    """The half of a whole CLIP that a version serves."""

    image = "image"
    text = "text"


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
        ConfigError: the catalogue is invalid.
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


@app.command("build")
def build_models(references: References = None) -> None:
    """Build versions again from their sources, whatever the store holds."""
    for spec in _or_fail(lambda: selected(references)):
        spec.graph.unlink(missing_ok=True)
    pull_models(references)


@app.command("add")
def add_model(
    reference: Annotated[str, typer.Argument(help="NAME@VERSION to serve it under.")],
    origin: Annotated[
        Path,
        typer.Option("--from", exists=True, help="A sentence-transformers or CLIP folder, or an .onnx file."),
    ],
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp32",
    tower: Annotated[Tower, typer.Option(help="Which half of a whole CLIP.")] = Tower.image,
) -> None:
    """Build a model of one's own, verify it, print its card and add it to the catalogue."""
    _or_fail(lambda: require_new(catalog_path(), reference))
    spec = _or_fail(lambda: describe_folder(reference, origin, precision, tower.value))
    with console_reporter() as reporter:
        artifact = _or_fail(lambda: pull(spec, allow_synthetic=False, reporter=reporter))
    checks = verify(spec)
    for check in checks:
        Console().print(f"{check.name}: {_mark(check)} {escape(check.detail)}", highlight=False)
    if not all(check.passed for check in checks):
        raise typer.Exit(1)
    _or_fail(lambda: add_entry(catalog_path(), spec))
    card = Table("model", "dimensions", "parameters", "size", "speed here", "hash")
    size = f"{artifact.graph.stat().st_size / 1e6:.0f} MB"
    count, speed = f"{parameters(artifact.graph) / 1e6:.1f} M", f"{milliseconds(open_embedder(artifact)):.2f} ms each"
    card.add_row(spec.reference, str(spec.dimensions), count, size, speed, artifact.hash)
    Console().print(card)


@app.command("quantize")
def quantize_file(source: Annotated[Path, typer.Argument(exists=True)], target: Path) -> None:
    """Write the int8 form of any ONNX file, its rows scaled one by one."""
    model = _or_fail(lambda: quantise_model(load(source)))
    save(model, target)
    before, after = source.stat().st_size / 1e6, target.stat().st_size / 1e6
    Console().print(f"{target}: {after:.1f} MB instead of {before:.1f} MB", highlight=False)


@app.command("compare")
def compare_models(
    first: str,
    second: str,
    sample: Annotated[Path, typer.Argument(exists=True, help="A text file, one a line, or a folder of pictures.")],
    plot: Annotated[Path | None, typer.Option(help="Write the distribution of cosines here, PNG.")] = None,
) -> None:
    """Say how alike two versions' vectors are, and how fast both are."""
    pair = _or_fail(
        lambda: [open_embedder(pull(Catalog.load().find(r), allow_synthetic=True)) for r in (first, second)]
    )
    inputs = read_sample(sample, pair[0])
    vectors = [_or_fail(lambda e=e: embed_sample(e, inputs)) for e in pair]  # type: ignore[misc]
    if vectors[0].shape != vectors[1].shape:
        raise fail(ArtifactError(f"{first} and {second} give vectors of different sizes"))
    result = compare(*vectors)
    table = Table(
        "inputs", "cosine, mean", "1st percentile", "lowest", "top-10 overlap", f"{first}, ms", f"{second}, ms"
    )
    times = [f"{milliseconds(embedder):.2f}" for embedder in pair]
    numbers = [f"{v:.5f}" for v in (result.mean, result.percentile, result.lowest, result.overlap)]
    table.add_row(str(result.count), *numbers, *times)
    Console().print(table)
    if plot is not None:
        _or_fail(lambda: plot_cosines(cosines(*vectors), plot, f"{first} and {second}"))


def _mark(check: Check) -> str:
    return "[green]ok[/green]" if check.passed else "[bold red]FAILED[/bold red]"

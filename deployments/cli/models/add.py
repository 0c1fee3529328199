"""``embedserve models add``: a model of one's own joins the catalogue."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.cli.console_reporter import console_reporter
from deployments.cli.error_line import print_error
from deployments.cli.json_output import AsJson, print_json
from deployments.cli.models.check_mark import mark

if TYPE_CHECKING:
    from models.catalog.folder import Fact


class Tower(StrEnum):
    """The half of a whole CLIP that a version serves."""

    image = "image"
    text = "text"


def add_model(
    reference: Annotated[str, typer.Argument(help="NAME@VERSION to serve it under.")],
    origin: Annotated[
        Path,
        typer.Option("--from", exists=True, help="A sentence-transformers or CLIP folder, or an .onnx file."),
    ],
    precision: Annotated[str, typer.Option(help="fp32, fp16, bf16 or int8.")] = "fp32",
    variant: Annotated[
        str | None,
        typer.Option(help="Of a graph that is built from weights; card: ONNX Runtime's fused operators for GPUs."),
    ] = None,
    tower: Annotated[Tower, typer.Option(help="Which half of a whole CLIP.")] = Tower.image,
    pooling: Annotated[
        str | None, typer.Option(help="How token vectors become one: mean, cls, max, lasttoken, ..., or several by +.")
    ] = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens after which a text is cut.")] = None,
    lower_case: Annotated[
        bool | None, typer.Option("--lower-case/--keep-case", help="Texts in lower case before the tokenizer.")
    ] = None,
    normalize: Annotated[
        bool | None, typer.Option("--normalize/--raw", help="Vectors of length 1, or as the model gives them.")
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="NAME=TEXT, or the prompts that a family is used with: e5, bge-en, bge-zh. May be repeated."),
    ] = None,
    batch_dependent: Annotated[
        bool,
        typer.Option("--batch-dependent", help="Take a graph whose vectors depend on the other inputs of a batch."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build a model of one's own, verify it, print its card and add it to the catalogue."""
    from models.catalog.custom import described, require_reference
    from models.catalog.entries import add_entry, require_new
    from models.catalog.folder import Wishes
    from models.catalog.known_prompts import prompts_of
    from models.catalog.paths import catalog_path
    from models.catalog.undo import nothing_left
    from models.company import pull_measured
    from models.comparison import milliseconds, parameters
    from models.embedder import open_embedder
    from models.verify import verify

    require_reference(reference)
    require_new(catalog_path(), reference)
    modes = None if pooling is None else tuple(pooling.split("+"))
    wishes = Wishes(modes, max_length, lower_case, normalize, prompts_of(prompt or ()), batch_dependent)
    found = described(reference, origin, precision, tower.value, wishes, variant)
    console = Console(stderr=as_json)
    _show_card(console, found.facts)
    with nothing_left(found.spec):
        with console_reporter() as reporter:
            spec, artifact = pull_measured(found.spec, reporter, allow=batch_dependent)
        checks = verify(spec)
        for check in checks:
            console.print(f"{check.name}: {mark(check)} {escape(check.detail)}", highlight=False)
        if not all(check.passed for check in checks):
            print_error(f"{reference} is not added: {checks[-1].name}: {checks[-1].detail}")
            raise typer.Exit(1)
        add_entry(catalog_path(), spec.model_copy(update={"hash": artifact.hash}))
    summary = Table("model", "dimensions", "parameters", "size", "speed here", "hash")
    size = f"{artifact.graph.stat().st_size / 1e6:.0f} MB"
    weights, each = parameters(artifact.graph), milliseconds(open_embedder(artifact))
    if as_json:
        facts = [{"what": fact.what, "value": fact.value, "source": fact.source} for fact in found.facts]
        named = {"reference": spec.reference, "dimensions": spec.dimensions, "hash": artifact.hash}
        print_json({**named, "parameters": weights, "milliseconds": each, "card": facts})
        return
    count, speed = f"{weights / 1e6:.1f} M", f"{each:.2f} ms each"
    summary.add_row(spec.reference, str(spec.dimensions), count, size, speed, artifact.hash)
    console.print(summary)


def _show_card(console: Console, facts: list[Fact]) -> None:
    """What was read from which file, and what was assumed."""
    table = Table("how it makes vectors", "", "says")
    for fact in facts:
        table.add_row(escape(fact.what), escape(fact.value), escape(fact.source))
    console.print(table)

"""``embedserve models verify``: whether versions are whole and embed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.cli.json_output import AsJson, print_json
from deployments.cli.models.check_mark import mark
from deployments.cli.models.references import References, selected


def verify(
    references: References = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="A Python that has sentence-transformers (texts) or transformers (pictures): compare with the model's own "
            "library there.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that each version's files are unchanged, load and run as the service runs them; exit code 1 when one does not."""
    from models.catalog.undo import clear_interrupted
    from models.verify import verify as checks_of

    clear_interrupted()
    table = Table("model", "check", "", "detail")
    failed = False
    rows = []
    for spec in selected(references):
        for check in checks_of(spec, reference):
            rows.append({"model": spec.reference, "check": check.name, "passed": check.passed, "detail": check.detail})
            table.add_row(spec.reference, check.name, mark(check), escape(check.detail))
            failed |= not check.passed
        table.add_section()
    if as_json:
        print_json(rows)
    else:
        Console().print(table)
    if failed:
        raise typer.Exit(1)

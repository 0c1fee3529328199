"""``embedserve models verify``: whether versions are whole and embed."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.cli.models.check_mark import mark
from deployments.cli.models.references import References, selected


def verify(references: References = None) -> None:
    """Check that each version's files are unchanged, load and embed; exit code 1 when one does not."""
    from models.verify import verify as checks_of

    table = Table("model", "check", "", "detail")
    failed = False
    for spec in selected(references):
        for check in checks_of(spec):
            table.add_row(spec.reference, check.name, mark(check), escape(check.detail))
            failed |= not check.passed
        table.add_section()
    Console().print(table)
    if failed:
        raise typer.Exit(1)

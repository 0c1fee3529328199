"""``embedserve history``: who changed a RayService's Serve configuration, and what it was."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from deployments.cli.json_output import AsJson, print_json
from deployments.cli.operator_options import Namespace, RayService
from deployments.cli.wide_console import wide_console


def history(
    show: Annotated[int | None, typer.Option("--show", help="print the configuration of this revision")] = None,
    namespace: Namespace = None,
    rayservice: RayService = None,
    as_json: AsJson = False,
) -> None:
    """List the changes that commands with --kube made to a RayService, and those that they found."""
    from deployments.cli.connect import connect_kube
    from deployments.operator.kube.history import find

    revisions = connect_kube(None, namespace, rayservice).revisions()
    if show is not None:
        typer.echo(find(revisions, show).config, nl=False)
        return
    columns = ("revision", "at", "by", "command", "result")
    rows = [(one.number, one.at, one.by, one.command, one.result) for one in revisions]
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    wide_console(200).print(table)

"""``embedserve validate``: would these configurations start?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments.cli.error_line import print_error
from models.errors import EmbedserveError


def validate(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Serve files, RayService manifests, patches, kustomize folders; - is standard input"),
    ],
) -> None:
    """Check configurations as strictly as a start does, without starting anything; exit code 1 where one is wrong."""
    from deployments.cluster.validation import text_of
    from deployments.cluster.validation import validate as problems_of

    wrong = 0
    for path in paths:
        try:
            lines = problems_of(text_of(path), "standard input" if str(path) == "-" else str(path))
        except EmbedserveError as error:
            print_error(str(error))
            wrong += 1
        else:
            typer.echo("\n".join(lines))
    if wrong:
        raise typer.Exit(1)

"""``embedserve validate``: would these configurations start?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli.error_line import print_error
from deployments.cli.json_output import AsJson, print_json
from models.errors import EmbedserveError


def validate(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Serve files, RayService manifests, patches, kustomize folders; - is standard input"),
    ],
    as_json: AsJson = False,
) -> None:
    """Check configurations as strictly as a start does, without starting anything; exit code 1 where one is wrong."""
    from deployments.cluster.validation import text_of
    from deployments.cluster.validation import validate as problems_of

    found: list[dict[str, Any]] = []
    for path in paths:
        try:
            lines = problems_of(text_of(path), "standard input" if str(path) == "-" else str(path))
        except EmbedserveError as error:
            found.append({"path": str(path), "valid": False, "error": str(error)})
            if not as_json:
                print_error(str(error))
        else:
            found.append({"path": str(path), "valid": True, "lines": lines})
            if not as_json:
                typer.echo("\n".join(lines))
    if as_json:
        print_json(found)
    if not all(one["valid"] for one in found):
        raise typer.Exit(1)

"""``embedserve keys``: its options."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

app = typer.Typer(help="API keys: make, list, revoke. The file keeps hashes only.", no_args_is_help=True)
File = Annotated[
    Path | None, typer.Option(envvar="EMBEDSERVE_API_KEYS_FILE", help="the key file; the service reads it anew")
]
Name = Annotated[str, typer.Argument(help="whose key it is")]


@app.command()
def create(
    name: Name,
    scope: Annotated[list[str], typer.Option(help="embed, admin; may be given twice")],
    expires: Annotated[str | None, typer.Option(help="90d, 12h or a date; never by default")] = None,
    file: File = None,
) -> None:
    """Print a new key, this once, and keep its hash."""
    _keys().create(Console(stderr=True), file, name, scope, expires)


@app.command("list")
def show(file: File = None) -> None:
    """Show whose keys there are, and until when."""
    _keys().show(Console(), file)


@app.command()
def revoke(name: Name, file: File = None) -> None:
    """Take a key away; a running service refuses it within seconds."""
    _keys().revoke(Console(stderr=True), file, name)


def _keys() -> Any:
    """Import when called, as the other commands do."""
    return importlib.import_module("deployments.cli.key_commands")

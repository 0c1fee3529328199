"""What a command prints with --json instead of a table."""

from __future__ import annotations

from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="one JSON document instead of a table")]


def print_json(document: Any) -> None:
    """Print a document; times are in ISO 8601."""
    import orjson

    typer.echo(
        orjson.dumps(
            document, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
        ).decode()
    )

"""``embedserve keys list``: whose keys a file holds."""

from __future__ import annotations

import time

from rich import box
from rich.console import Console
from rich.table import Table

from deployments.cli.json_output import AsJson, print_json
from deployments.cli.keys.key_file import File, named


def list_keys(file: File = None, as_json: AsJson = False) -> None:
    """Show whose keys there are, and until when."""
    from deployments.auth.key_file import load_keys

    keys = load_keys(named(file)).keys
    if as_json:
        rows = [
            {"name": one.name, "scopes": one.scopes, "created": one.created, "expires": one.expires} for one in keys
        ]
        print_json([{**row, "expired": key.expired(time.time())} for row, key in zip(rows, keys, strict=True)])
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("name", "scopes", "created", "expires"):
        table.add_column(column, no_wrap=True)
    for key in keys:
        ends = f"{key.expires:%Y-%m-%d %H:%M}" if key.expires else "never"
        ends += " (over)" if key.expired(time.time()) else ""
        table.add_row(key.name, " ".join(key.scopes), f"{key.created:%Y-%m-%d}" if key.created else "?", ends)
    Console().print(table)

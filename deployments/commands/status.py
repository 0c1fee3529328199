"""``embedserve status``: what a running service serves."""

from __future__ import annotations

from typing import Any

import httpx2
from rich import box
from rich.console import Console
from rich.table import Table

from models.errors import UnavailableError

COLOURS = {"ready": "green", "loading": "yellow", "failed": "red"}


def status(console: Console, url: str) -> None:
    """Print a table of the versions served.

    Raises:
        UnavailableError: nothing answers at ``url``.
    """
    try:
        answer = httpx2.get(f"{url.rstrip('/')}/v1/models", timeout=10, trust_env=False)
        answer.raise_for_status()
    except httpx2.HTTPError as error:
        raise UnavailableError(f"no service answers at {url}: {error}; `make run` starts one") from error
    console.print(table(answer.json()["data"]))


def table(entries: list[dict[str, Any]]) -> Table:
    """One row per version."""
    result = Table(box=box.SIMPLE_HEAD)
    for name in ("version", "state", "hash", "precision", "weights", "share", "replicas"):
        result.add_column(name, no_wrap=True)
    result.add_column("reason", overflow="fold")
    for entry in entries:
        colour = COLOURS[entry["state"]]
        result.add_row(
            entry["id"],
            f"[{colour}]{entry['state']}[/]",
            (entry["hash"] or "?")[:8],
            entry["precision"] or "?",
            entry["weights"] or "?",
            f"{entry['share']:.0%}",
            str(entry["replicas"]),
            entry["reason"] or "",
        )
    return result

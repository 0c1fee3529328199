"""An error as a person at a terminal sees it."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from models.errors import EmbedserveError
from models.redaction import redacted


def print_error(error: EmbedserveError | str) -> None:
    """Print one line on standard error, without a traceback; long lines are left whole for whoever searches in them."""
    Console(stderr=True).print(f"[bold red]error:[/] {escape(redacted(str(error)))}", highlight=False, soft_wrap=True)

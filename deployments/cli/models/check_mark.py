"""The result of a check, as a cell or a word on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.verify import Check


def mark(check: Check) -> str:
    """``ok`` or ``FAILED`` in Rich's markup."""
    return "[green]ok[/green]" if check.passed else "[bold red]FAILED[/bold red]"

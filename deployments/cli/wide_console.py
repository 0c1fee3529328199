"""Where commands print their tables."""

from __future__ import annotations

from rich.console import Console

PIPED_WIDTH = 160  # of what goes to a file or another program: nothing is cut off


def wide_console(piped: int = PIPED_WIDTH) -> Console:
    """The terminal, or what is read by a program, in which no line is wrapped at a terminal's width."""
    console = Console()
    if not console.is_terminal:
        console.width = piped
    return console

"""Warnings nobody can miss: random weights stand in for real ones."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.panel import Panel


def warn_pulled(console: Console, references: Iterable[str]) -> None:
    """Warn that the store now holds random weights for these versions; silent when there are none."""
    names = ", ".join(references)
    if not names:
        return
    text = (
        f"[bold]{names}[/bold]: no source of the real weights answered, so that random ones stand in.\n"
        "Their vectors carry NO MEANING: good for trying the service, useless for search.\n"
        "With a hub that answers (HF_ENDPOINT names a mirror), `embedserve models pull` fetches the real ones."
    )
    console.print(Panel(text, title="SYNTHETIC WEIGHTS", style="bold red", expand=True))


def warn_served(console: Console, reference: str, name: str) -> None:
    """Warn that a service is about to serve a version with random weights."""
    text = (
        f"{reference} ({name}) runs on SYNTHETIC weights: no source of the real ones answered. Its vectors carry no "
        "meaning; they are good for trying the service and for measuring it. Every answer says so "
        "(x-model-weights: synthetic)."
    )
    console.print(Panel(text, title="warning: synthetic weights", border_style="bold yellow"))


def warn_embedded(console: Console, reference: str) -> None:
    """Warn that a vector which was just computed comes from random weights."""
    console.print(f"[bold yellow]warning:[/] {reference} has synthetic weights: this vector carries no meaning")

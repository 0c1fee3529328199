"""What a terminal shows of a rollout while a step is watched; elsewhere its lines say it all."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deployments.operator.rollout.guards import Finding
from deployments.operator.rollout.state import Rollout

COLOURS = {"go": "green", "hold": "yellow", "stop": "bold red"}


class Display:
    """A table below the lines, of the step and what each guard says; nothing where the console is no terminal."""

    def __init__(self, console: Console) -> None:
        """Show nothing yet."""
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Display:
        """Begin."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the table away; the lines stay."""
        if self._live is not None:
            self._live.stop()

    def show(self, rollout: Rollout, findings: Sequence[Finding], seconds: float) -> None:
        """Show how a step stands, ``seconds`` after it began."""
        if self._live is not None:
            self._live.update(panel(rollout, findings, seconds), refresh=True)


def panel(rollout: Rollout, findings: Sequence[Finding], seconds: float) -> Group:
    """The steps, the time, and one row a guard."""
    steps = Text("  ").join(
        Text(f"{step:g} %", style="bold reverse" if at == rollout.at else "green" if at < rollout.at else "dim")
        for at, step in enumerate(rollout.steps)
    )
    left = max(rollout.every_s - seconds, 0)
    head = Text.assemble((rollout.reference, "bold"), "  ", steps, f"  {rollout.phase}, {left:.0f} s left at least")
    rows = Table(box=box.SIMPLE, show_header=False, padding=(0, 1, 0, 0))
    for finding in findings:
        rows.add_row(Text(finding.verdict, style=COLOURS[finding.verdict]), finding.guard, Text(finding.text))
    return Group(head, rows)

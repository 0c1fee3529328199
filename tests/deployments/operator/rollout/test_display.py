from __future__ import annotations

import io

from rich.console import Console

from deployments.operator.rollout.display import Display
from deployments.operator.rollout.guards import Finding
from deployments.operator.rollout.state import Rollout

ROLLOUT = Rollout("m@2", {"1": 1.0}, [1, 5, 100], 600.0, "me", at=1)
FINDINGS = [Finding("errors", "go", "0.00% against 0.00%"), Finding("neighbours", "hold", "31 of 100 [inputs]")]


def shown(*, terminal: bool) -> str:
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=120, color_system=None)
    with Display(console) as display:
        display.show(ROLLOUT, FINDINGS, 60.0)
        console.print("a line")
    return output.getvalue()


def test_a_terminal_shows_the_step_the_time_and_every_guard() -> None:
    said = shown(terminal=True)
    assert "1 %  5 %  100 %  running, 540 s left at least" in said
    assert "hold neighbours 31 of 100 [inputs]" in " ".join(said.split())


def test_what_is_no_terminal_gets_the_lines_alone() -> None:
    assert shown(terminal=False) == "a line\n"

"""``embedserve doctor``: what is wrong here, and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from deployments.cli.where import url_behind

if TYPE_CHECKING:
    from deployments.doctor.finding import Check

MARKS = {"good": ("ok", "green"), "note": ("note", "yellow"), "wrong": ("wrong", "bold red")}


def doctor(
    config: Annotated[Path | None, typer.Option(help="the configuration; ./serve_config.yaml by default")] = None,
    url: Annotated[str | None, typer.Option(help="look at the service that runs there, not at this machine")] = None,
    dashboard: Annotated[str | None, typer.Option(help="of Ray: look at the service that runs there")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the findings as one JSON document")] = False,
) -> None:
    """Look at this machine and a configuration, or at a running service, and say what is wrong and what to do."""
    from deployments.doctor.finding import looked

    if dashboard and not url:
        url = url_behind(dashboard)
    checks = _of_service(url) if url else _of_this_machine(config)
    console, found = Console(), []
    for about, check in checks.items():
        for finding in looked(about, check):
            found.append(finding)
            if not as_json:
                word, style = MARKS[finding.level]
                line = Text.assemble((f"{word:5}", style), f"  {finding.about}: {finding.what}")
                console.print(line.append(f"; {finding.remedy}" if finding.remedy else ""), soft_wrap=True)
    if as_json:
        print(json.dumps([asdict(finding) for finding in found], indent=1))
    if any(finding.level == "wrong" for finding in found):
        raise typer.Exit(1)


def _of_service(url: str) -> Mapping[str, Check]:
    from deployments.doctor import service

    return service.checks(url)


def _of_this_machine(config: Path | None) -> Mapping[str, Check]:
    from deployments.doctor import configuration, machine

    return {**machine.CHECKS, **configuration.checks(config)}

"""Carries out what a command changes, and prints what came of it: lines for people, or one JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from deployments.cli.json_output import print_json

if TYPE_CHECKING:
    from deployments.operator.change import Change, Options
    from deployments.operator.document import Document
    from deployments.operator.target import Target


def carry_out(target: Target, current: Document, change: Change, options: Options, *, as_json: bool) -> None:
    """Change a service. With ``as_json`` what people read goes to standard error.

    Raises:
        EmbedserveError: it was refused, another operator was faster, or it was undone.
    """
    from deployments.operator.execute import execute

    outcome = execute(Console(stderr=as_json), target, current, change, options)
    if as_json:
        print_json(outcome)

"""What a terminal shows of URLs: never their passwords, whichever option held one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from deployments.cli.error_line import print_error
from deployments.cli.main import app
from models.errors import EmbedserveError

URL = "http://user:hunter2@127.0.0.1:9"  # where nothing answers
# Required arguments by name; the commands fail at the URL, whatever these say.
VALUES = {"reference": "text-embedding@1.0.0", "model": "text-embedding", "name": "text-embedding"}

MORE = {"route": ["1.0.0=100"]}
KUBERNETES_FIRST = {"watch-drift"}  # it fails before it comes to the URL
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def options() -> Iterator[tuple[str, str]]:
    """Every command with each of its options that may hold a URL."""
    for name, found in COMMANDS.items():
        for option in found.params:
            if option.param_type_name == "option" and {"url", "address", "dashboard"} & set(option.name.split("_")):
                yield name, option.name


OPTIONS = sorted(options())


def test_there_are_options_to_look_at() -> None:
    assert len(OPTIONS) >= 10


@pytest.mark.parametrize(("command", "option"), OPTIONS, ids=[" --".join(row) for row in OPTIONS])
def test_a_password_is_not_shown_by(command: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [command, f"--{option}", URL]
    for needed in COMMANDS[command].params:
        if needed.required and needed.name != option:
            flag = [needed.opts[0]] if needed.param_type_name == "option" else []
            words += [*flag, VALUES.get(needed.name, "text-embedding@1.0.0")]
    words += MORE.get(command, [])
    result = CliRunner().invoke(app, words, env={"COLUMNS": "400", "RAY_DASHBOARD_ADDRESS": URL})
    if isinstance(result.exception, EmbedserveError):
        print_error(result.exception)
    shown = result.output + "".join(capsys.readouterr())
    assert result.exit_code != 0, "it was to fail at the URL"
    assert "hunter2" not in shown
    if command not in KUBERNETES_FIRST:
        assert "127.0.0.1:9" in shown, "the place stays, so that the message helps"

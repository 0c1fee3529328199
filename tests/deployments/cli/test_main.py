"""The list of commands."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from deployments.cli.main import KEYS, MODELS, SERVICE
from tests.command_line import embedserve

SLOW = ("ray", "onnx", "onnxruntime", "numpy", "pydantic", "httpx2", "starlette", "yaml")


def test_help_waits_for_nothing_that_only_a_command_needs() -> None:
    code = "import deployments.cli.main, json, sys; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert {name for name in json.loads(done.stdout) if name in SLOW} == set()


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_a_command_that_only_asks_the_service_does_without_ray_whose_import_takes_seconds(command: str) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from deployments.cli.main import app; "
        "CliRunner().invoke(app, sys.argv[1:]); print('ray' in sys.modules, 'httpx2' in sys.modules)"
    )
    words = [*command.split(), "--url", "http://127.0.0.1:9"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "False True"


@pytest.mark.parametrize(
    ("room", "commands"),
    [("cli", SERVICE), ("cli.models", MODELS), ("cli.keys", KEYS)],
    ids=["service", "models", "keys"],
)
def test_a_command_is_found_in_the_file_that_bears_its_name(room: str, commands: dict[str, object]) -> None:
    assert {name: command.__module__ for name, command in commands.items()} == {
        name: f"deployments.{room}.{name.replace('-', '_')}" for name in commands
    }


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("keys", "create", "a", "--scope", "embed", "--file", "/proc/nowhere/keys"), "/proc/nowhere"),
        (("keys", "create", "a", "--scope", "embed", "--file", "/dev/null/keys"), "/dev/null"),
        (("models", "pull", "text-embedding"), "/proc/nowhere"),
        (("up", "--port", "1", "--beside", "--config", "/proc/nowhere"), "/proc/nowhere"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_what_the_file_system_refuses_is_one_line_that_names_the_place(words: tuple[str, ...], says: str) -> None:
    done = embedserve(*words, environment={"EMBEDSERVE_MODELS": "/proc/nowhere"})
    assert done.returncode == 1
    assert says in done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr

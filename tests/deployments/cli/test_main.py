"""The list of commands."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from deployments.cli.main import KEYS, MODELS, SERVICE

SLOW = ("ray", "onnx", "onnxruntime", "numpy", "pydantic", "httpx2", "starlette", "yaml")


def test_help_waits_for_nothing_that_only_a_command_needs() -> None:
    code = "import deployments.cli.main, json, sys; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert {name for name in json.loads(done.stdout) if name in SLOW} == set()


@pytest.mark.parametrize(
    ("room", "commands"),
    [("cli", SERVICE), ("cli.models", MODELS), ("cli.keys", KEYS)],
    ids=["service", "models", "keys"],
)
def test_a_command_is_found_in_the_file_that_bears_its_name(room: str, commands: dict[str, object]) -> None:
    assert {name: command.__module__ for name, command in commands.items()} == {
        name: f"deployments.{room}.{name}" for name in commands
    }

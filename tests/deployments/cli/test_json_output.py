"""Every command that prints a table prints the same as JSON, and a shell completes their names."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from deployments.cli.main import EXPERIMENT, KEYS, MODELS, SERVICE, app
from models.catalog.paths import ROOT
from tests.command_line import embedserve

ENTRY = {
    "id": "m@1",
    "state": "ready",
    "hash": "9b1c",
    "precision": "fp32",
    "replicas": 2,
    "weights": "real",
    "share": 1.0,
}
JSON_ANYWAY = {"embed", "coverage", "audit", "backfill"}
UNTIL_CTRL_C = {"up", "watch-drift"}  # `up --ready-file` writes a document
COMMANDS = {
    f"{group}{name}": command
    for group, found in {"": SERVICE, "models ": MODELS, "keys ": KEYS, "experiment ": EXPERIMENT}.items()
    for name, command in found.items()
}


@contextmanager
def served() -> Iterator[str]:
    """What ``/v1/models`` of a service says."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"data": [{**ENTRY, "reason": None, "numerics": None}]}).encode()
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return embedserve(*words, environment=environment)


def having(option: str) -> set[str]:
    return {name for name, command in COMMANDS.items() if option in inspect.signature(command).parameters}


def test_every_command_that_ends_prints_json_when_asked() -> None:
    assert COMMANDS.keys() - having("as_json") == JSON_ANYWAY | UNTIL_CTRL_C


def test_a_service_is_named_the_same_way_to_every_command_that_asks_one() -> None:
    assert having("url") ^ having("dashboard") == {"hold-replicas"}  # which asks Serve alone
    assert having("url") >= {"status", "doctor", "swap", "rollout", "coverage", "experiment report", "watch-drift"}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_command_explains_itself_and_each_of_its_options(command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == 0, done.output
    without = [line for line in done.output.splitlines() if re.fullmatch(r"\W*--[a-z-]+\W+[A-Z]*\W*", line)]
    assert without == [], "an option without a word of help"


@pytest.mark.parametrize("by", ["option", "environment"])
def test_status_is_one_document(by: str) -> None:
    with served() as url:
        done = run("status", "--json", *(["--url", url] if by == "option" else []), EMBEDSERVE_URL=url)
    document = json.loads(done.stdout)
    assert (document["url"], document["versions"][0]["id"], document["versions"][0]["traffic"]) == (url, "m@1", None)


def test_status_looks_for_the_service_of_a_dashboard() -> None:
    done = run("status", "--dashboard", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr


def test_the_catalogue_and_keys_are_documents(tmp_path: Path) -> None:
    versions = json.loads(run("models", "list", "--json", EMBEDSERVE_MODELS=str(tmp_path)).stdout)
    assert {"text-embedding@1.0.0", "image-embedding@1.0.0"} <= {one["reference"] for one in versions}
    keys = str(tmp_path / "keys")
    created = json.loads(run("keys", "create", "shop", "--scope", "embed", "--file", keys, "--json").stdout)
    assert created["key"].startswith("es_")
    assert created["scopes"] == ["embed"]
    (key,) = json.loads(run("keys", "list", "--json", "--file", keys).stdout)
    assert (key["name"], key["scopes"], key["expired"]) == ("shop", ["embed"], False)
    assert json.loads(run("keys", "revoke", "shop", "--file", keys, "--json").stdout)["revoked"]


def test_configurations_are_judged_in_one_document(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("applications: 3")
    done = run("validate", "--json", str(ROOT / "serve_config.yaml"), str(wrong))
    good, bad = json.loads(done.stdout)
    assert (done.returncode, good["valid"], bad["valid"], bad["path"]) == (1, True, False, str(wrong))


def test_keys_and_their_versions_are_one_document() -> None:
    config = str(ROOT / "serve_config.yaml")
    done = run("assign", "text-embedding", "anna", "ben", "--config", config, "--no-hash", "--json")
    assert [(one["key"], one["version"]) for one in json.loads(done.stdout)] == [("anna", "1.0.0"), ("ben", "1.0.0")]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str) -> None:
    typed = {"COMP_WORDS": "embedserve stat", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "embedserve stat"}
    typed["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    code = "import sys; sys.argv[0] = 'embedserve'; from deployments.cli.main import app; app(prog_name='embedserve')"
    environment = {**os.environ, **typed, "_EMBEDSERVE_COMPLETE": f"complete_{shell}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert "status" in done.stdout

"""Every command that prints a table prints the same as JSON, and a shell completes their names."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from deployments.cli.main import EXPERIMENT, KEYS, MODELS, SERVICE
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
REPORTS_ITS_WORK = {
    "models add",
    "models align",
}  # tables among what they say on the way; align writes figures with --report


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


def test_a_command_that_prints_a_table_has_an_option_for_json() -> None:
    groups = {"": SERVICE, "models ": MODELS, "keys ": KEYS, "experiment ": EXPERIMENT}
    commands = {f"{group}{name}": command for group, found in groups.items() for name, command in found.items()}
    tables = {
        name
        for name, command in commands.items()
        if "Table" in (source := Path(inspect.getfile(command)).read_text()) or "table(" in source
    }
    having = {name for name, command in commands.items() if "as_json" in inspect.signature(command).parameters}
    assert tables - having == REPORTS_ITS_WORK


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
    assert run("keys", "create", "shop", "--scope", "embed", "--file", keys).returncode == 0
    (key,) = json.loads(run("keys", "list", "--json", "--file", keys).stdout)
    assert (key["name"], key["scopes"], key["expired"]) == ("shop", ["embed"], False)


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

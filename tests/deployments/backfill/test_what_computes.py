"""What computes the vectors of a job: the weights of a service, and nodes on which an engine fits."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deployments.backfill.expectation import golden_items
from deployments.backfill.job import Machines
from deployments.backfill.room import lacking
from deployments.cli.main import app
from models.errors import ArtifactError, ConfigError
from tests.deployments.backfill.conftest import MODEL, job, run

HASH = "0" * 64


class Synthetic(BaseHTTPRequestHandler):
    """A service that serves random weights."""

    def do_GET(self) -> None:
        self._answer({"data": [{"id": MODEL, "hash": HASH, "numerics": "cpu/fp32", "weights": "synthetic"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer({"data": [{"embedding": "AAAAAA=="} for _ in golden_items("text")]})

    def _answer(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("x-model-hash", HASH)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def synthetic() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Synthetic) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_production_refuses_a_service_with_synthetic_weights(source: Path, synthetic: str, tmp_path: Path) -> None:
    wanted = job(source, tmp_path / "sink", via_service=synthetic, profile="production")
    with pytest.raises(ArtifactError, match="synthetic weights, which the production profile refuses"):
        run(wanted)
    assert not (tmp_path / "sink").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--cpus", "2"], "leave --cpus out"),
        (["--address", "auto", "--engines", "2", "--gpus", "0.5"], "leave --address and --engines and --gpus out"),
    ],
    ids=["cores", "a cluster and its cards"],
)
def test_what_is_said_of_engines_does_not_go_with_a_service(options: list[str], says: str, source: Path) -> None:
    words = ["backfill", MODEL, "--from", str(source), "--id", "sku", "--column", "title", "--to", "nowhere"]
    result = CliRunner().invoke(app, [*words, "--via-service", "http://127.0.0.1:9", *options])
    assert isinstance(result.exception, ConfigError)
    assert says in str(result.exception)


@pytest.mark.parametrize(
    "words",
    [
        ["backfill", MODEL, "--from", "a.parquet", "--id", "sku", "--column", "title", "--to", "nowhere"],
        ["coverage", "nowhere", "--model", MODEL],
        ["audit", "nowhere"],
        ["promote", MODEL, "--require-coverage", "nowhere:99"],
        ["rollout", MODEL, "--require-coverage", "nowhere:99"],
    ],
    ids=lambda words: words[0],
)
def test_without_arrow_a_command_says_what_brings_it(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as where the extra is not installed
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, ConfigError), result.exception
    assert "pip install 'embedserve[data]'" in str(result.exception)


SMALL, CARDS = {"CPU": 4.0, "memory": 1e9}, {"CPU": 2.0, "GPU": 1.0}


@pytest.mark.parametrize(
    ("machines", "nodes", "says"),
    [
        (Machines(cpus=4), [SMALL, CARDS], ""),
        (Machines(cpus=1, gpus=0.5), [SMALL, CARDS], ""),
        (Machines(cpus=0), [SMALL], ""),
        (
            Machines(cpus=8),
            [SMALL, SMALL],
            "an engine needs 8 cores (--cpus), and Ray's nodes have 4 cores and 0 cards",
        ),
        (
            Machines(cpus=4, gpus=0.5),
            [SMALL, CARDS],
            "an engine needs 4 cores (--cpus) and 0.5 cards (--gpus), and Ray's nodes have 2 cores and 1 cards, 4 cores and 0 cards",
        ),
        (Machines(cpus=1), [], "an engine needs 1 cores (--cpus), and Ray's nodes have nothing, as there are none"),
    ],
)
def test_an_engine_that_fits_on_no_node_is_told_with_what_there_is(
    machines: Machines, nodes: list[dict[str, float]], says: str
) -> None:
    assert lacking(machines, nodes) == says

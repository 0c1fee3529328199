"""20,000 keys through a real service: what the exposure log says of each is what ``embedserve assign`` computes."""

from __future__ import annotations

import copy
import csv
import io
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
import yaml
from typer.testing import CliRunner

from deployments.cli.main import app as commands
from tests.integration.connected.conftest import Connected
from tests.integration.documents import Document, application, user_config
from tests.integration.service import children
from tests.integration.waiting import wait

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
COUNT, CLIENTS = 20_000, 8
KEYS = [f"user-{number}@example.org" for number in range(COUNT)]
SECRET = b"the secret of twenty thousand keys"
Seen = dict[str, tuple[str, str, str]]  # by key hash: version, how it was chosen, experiment
GATEWAY = "ray::ServeReplica:gateway"


def split(connected: Connected, secret: Path, weights: dict[str, float]) -> Document:
    """Two gateways, two versions."""
    document = copy.deepcopy(connected.running.document)
    application(document, "gateway")["deployments"][0]["autoscaling_config"].update(min_replicas=2, max_replicas=2)
    second = copy.deepcopy(application(document, "text-embedding--1-0-0"))
    second.update(name="text-embedding--1-1-0", args={"model": "text-embedding@1.1.0", "profile": "development"})
    second["deployments"][0]["user_config"] = {"artifact": "text-embedding@1.1.0"}
    document["applications"].append(second)
    user_config(document)["models"]["text-embedding"]["versions"] = weights
    user_config(document)["experiments"] = {"exposures": {"secret_file": str(secret)}}
    return document


def ask(url: str, keys: list[str]) -> None:
    def some(part: list[str]) -> None:
        with httpx2.Client(base_url=url, timeout=60, trust_env=False) as client:
            for key in part:
                body = {"model": "text-embedding", "input": "the same text for all", "user": key}
                assert client.post("/v1/embeddings", json=body).status_code == 200

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(some, [keys[number::CLIENTS] for number in range(CLIENTS)]))


def logged(folder: Path) -> list[dict]:
    """Every line with a key, of all gateways that there ever were."""
    files = {path.resolve() for path in folder.rglob("access_*.log") if path.is_file()}
    lines = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    return [line for line in lines if line.get("key_hash")]


def assigned(folder: Path, document: Document, secret: Path) -> Seen:
    (folder / "then.yaml").write_text(yaml.safe_dump(document))
    with (folder / "keys.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["key"], *([key] for key in KEYS)])
    told = ["--from", folder / "keys.csv", "--config", folder / "then.yaml", "--secret-file", secret]
    result = CliRunner().invoke(commands, ["assign", "text-embedding", *map(str, told)])
    assert result.exit_code == 0, result.output
    rows = csv.DictReader(io.StringIO(result.stdout))
    return {row["key_hash"]: (row["version"], row["chosen"], row["experiment"]) for row in rows}


def gateways(connected: Connected) -> set[int]:
    found = children(connected.running.service)
    return {pid for pid, title in found.items() if title.startswith(GATEWAY)}


def test_online_and_offline_agree_on_every_key_across_gateways_a_killed_one_and_a_change_of_weights(
    connected: Connected, tmp_path: Path
) -> None:
    service, folder = connected.running.service, connected.running.folder
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    documents = [
        split(connected, secret, weights) for weights in ({"1.0.0": 50, "1.1.0": 50}, {"1.0.0": 80, "1.1.0": 20})
    ]
    wanted = [assigned(tmp_path, document, secret) for document in documents]
    for document, seen in zip(documents, wanted, strict=True):
        (experiment,) = {row[2] for row in seen.values()}
        service.run(document)
        wait("two gateways", lambda: len(gateways(connected)) == 2)
        mine = lambda name=experiment: [line for line in logged(folder) if line["experiment"] == name]  # noqa: E731
        ask(service.url, KEYS[: COUNT // 2])
        wait("half of the lines", lambda lines=mine: len(lines()) >= COUNT // 2)
        victim, *_ = before = gateways(connected)
        os.kill(victim, signal.SIGKILL)
        wait("a successor", lambda old=before: len(gateways(connected)) == 2 and gateways(connected) != old)
        wait("a ready service", lambda: httpx2.get(f"{service.url}/health/ready", trust_env=False).status_code == 200)
        ask(service.url, KEYS[COUNT // 2 :])
        wait("all lines", lambda lines=mine: len({line["key_hash"] for line in lines()}) == COUNT)
        lines = mine()
        assert {line["key_hash"]: (line["version"], line["chosen"], line["experiment"]) for line in lines} == seen
        assert len({line["replica"] for line in lines}) >= 2
    moved = {(old[0], wanted[1][key][0]) for key, old in wanted[0].items() if old[0] != wanted[1][key][0]}
    assert moved == {("1.1.0", "1.0.0")}
    assert "@example.org" not in connected.running.logs()

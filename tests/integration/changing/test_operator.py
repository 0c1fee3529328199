"""The operators' commands against the real service, which all tests share; each brings it into the state it needs."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import open_embedder
from models.modalities.image import ImageEmbedder
from tests.integration.commands import Command
from tests.integration.documents import Document, application, drop_text_tower, shipped, user_config
from tests.integration.service import Service
from tests.integration.traffic import Call, References, Traffic
from tests.integration.waiting import wait

TEXTS = [f"request number {i} while operators work" for i in range(64)]
V0, V1, TEXT = "text-embedding@1.0.0", "text-embedding@1.1.0", "text-embedding"
IMAGE = "image-embedding@1.0.0"


@dataclass
class Running:
    """A running service, and commands that change it."""

    service: Service
    document: Document  # with one version of the text model
    hashes: dict[str, str]  # of the artifacts of the catalogue
    known: References  # what each artifact answers to the requests that are sent all the while

    def start(self, *arguments: str, user: str = "alice") -> Command:
        environment = {"RAY_DASHBOARD_ADDRESS": self.service.dashboard, "USER": user, "LOGNAME": user}
        return Command(*arguments, environment=environment)

    def run(self, *arguments: str, code: int = 0) -> str:
        status, said = self.start(*arguments).end()
        assert status == code, said
        assert "Traceback" not in said
        return said

    def models(self) -> dict[str, dict[str, Any]]:
        answer = httpx2.get(f"{self.service.url}/v1/models", timeout=30, trust_env=False)
        return {entry["id"]: entry for entry in answer.json()["data"] if "@" in entry["id"]}

    def shares(self) -> dict[str, float]:
        return {name: entry["share"] for name, entry in self.models().items() if name.startswith(TEXT)}

    def hash_of(self, model: str) -> str:
        """The artifact that answers a real request."""
        answer = httpx2.post(
            f"{self.service.url}/v1/embeddings", json={"model": model, "input": "x"}, timeout=30, trust_env=False
        )
        assert answer.status_code == 200, answer.text
        return answer.headers["x-model-hash"]

    def weighted(self, **weights: int) -> Document:
        """The document in which versions of the text model have weights; ``v1_1_0=5`` is 5 for 1.1.0."""
        document = copy.deepcopy(self.document)
        versions = {name.removeprefix("v").replace("_", "."): weight for name, weight in weights.items()}
        user_config(document)["models"][TEXT]["versions"] = versions
        if "1.1.0" in versions:
            second = copy.deepcopy(application(document, "text-embedding--1-0-0"))
            second["name"] = "text-embedding--1-1-0"
            second["args"]["model"] = second["deployments"][0]["user_config"]["artifact"] = V1
            document["applications"].append(second)
        return document

    def become(self, **weights: int) -> None:
        """Deploy that document as `serve deploy` does, without the commands under test, and wait until it serves."""
        document, total = self.weighted(**weights), sum(weights.values())
        wanted = {f"{TEXT}@{name[1:].replace('_', '.')}": weight / total for name, weight in weights.items()}
        self.service.deploy(document)

        def serves() -> bool:
            said = {name: entry for name, entry in self.models().items() if name.startswith(TEXT)}
            return {name: entry["share"] for name, entry in said.items()} == wanted and all(
                (entry["state"], entry["reason"], entry["hash"]) == ("ready", None, self.hashes[name])
                for name, entry in said.items()
            )

        wait(f"the service to have {wanted}", serves)


@pytest.fixture(scope="module")
def running(changing: Service, jpeg: bytes) -> Iterator[Running]:
    document = shipped()
    drop_text_tower(document)
    document["http_options"]["port"] = changing.port
    user_config(document)["cache"] = {"bytes": 0}  # every vector is computed
    known, hashes = references(jpeg)
    changing.run(document)
    calls = [Call(text, {"url": "/v1/embeddings", "json": {"model": TEXT, "input": text}}) for text in TEXTS]
    picture = {"url": "/v1/embeddings/image", "content": jpeg, "headers": {"content-type": "image/jpeg"}}
    # Sixteen that rest between requests: without rest they would take both cores from the commands under test.
    with Traffic(changing.url, [*calls, Call("picture", picture)], known, clients=16, pause=0.2) as traffic:
        yield Running(changing, document, hashes, known)
    assert traffic.answers
    assert traffic.failures == []


def references(jpeg: bytes) -> tuple[References, dict[str, str]]:
    """What each artifact answers to the requests that are sent all the while, and the hash of each version's own."""
    known: References = {}
    hashes = {}
    for reference in (V0, V1):
        artifact = pull(Catalog.load().find(reference), allow_synthetic=False)
        hashes[reference] = artifact.hash
        known[artifact.hash] = dict(zip(TEXTS, open_embedder(artifact).embed(TEXTS), strict=True))
    pictures = open_embedder(pull(Catalog.load().find(IMAGE), allow_synthetic=True))
    assert isinstance(pictures, ImageEmbedder)
    known[pictures.artifact.hash] = {"picture": pictures.embed([jpeg])[0]}
    return known, hashes


@pytest.fixture
def one(running: Running) -> Running:
    """The service with one version of the text model."""
    running.become(v1_0_0=100)
    return running


@pytest.fixture
def two(running: Running) -> Running:
    """The service with a second version, which has no traffic yet."""
    running.become(v1_0_0=100, v1_1_0=0)
    return running


def configuration(path: Path, document: dict[str, Any]) -> Path:
    """The file that configures the service, as a person would keep it."""
    path.write_text("# a comment that stays\n" + yaml.safe_dump(document, sort_keys=False))
    return path


def test_a_dry_run_shows_the_plan_and_changes_nothing(one: Running) -> None:
    said = one.run("add", V1, "--dry-run")
    assert f"+ {V1}: loaded from {V1}" in said
    assert "nothing was changed" in said
    assert "+- args: {model: text-embedding@1.1.0" in one.run("add", V1, "--dry-run", "--verbose")
    assert one.shares() == {V0: 1}


def test_a_version_is_added_without_traffic_and_written_to_the_file(one: Running, tmp_path: Path) -> None:
    path = configuration(tmp_path / "serve_config.yaml", one.document)
    assert f"done: add {V1} (revision 1)" in one.run("add", V1, "--write", str(path))
    assert one.shares() == {V0: 1, V1: 0}
    assert one.hash_of(V1) == one.hashes[V1]
    assert path.read_text().startswith("# a comment that stays\n")
    assert yaml.safe_load(path.read_text()) == one.weighted(v1_0_0=100, v1_1_0=0)


@pytest.mark.parametrize("share", [10, 100])
def test_traffic_moves_as_far_as_asked(two: Running, share: int) -> None:
    two.run("route", TEXT, f"1.0.0={100 - share}", f"1.1.0={share}")
    assert two.shares() == {V0: 1 - share / 100, V1: share / 100}


def test_rollback_goes_back_one_change_and_forth_again(two: Running) -> None:
    two.run("route", TEXT, "1.0.0=50", "1.1.0=50")
    assert f"done: rollback {TEXT}" in two.run("rollback", TEXT)
    assert two.shares() == {V0: 1, V1: 0}
    two.run("rollback", TEXT)
    assert two.shares() == {V0: 0.5, V1: 0.5}


def test_promote_gives_all_traffic_to_one_version(two: Running) -> None:
    two.run("promote", V1)
    assert two.shares() == {V0: 0, V1: 1}


def test_a_swap_changes_the_hash_under_the_label_and_rollback_swaps_back(two: Running) -> None:
    assert f"~ {V0}: {V0} → {V1}" in two.run("swap", V0, "--to", "1.1.0")
    assert two.hash_of(V0) == two.hashes[V1]
    two.run("rollback", TEXT)
    assert two.hash_of(V0) == two.hashes[V0]


def test_a_swap_that_the_encoder_refuses_goes_back_by_itself(two: Running) -> None:
    said = two.run("swap", V0, "--to", "nowhere.onnx", "--no-check", "--timeout", "100", code=1)
    assert "refused the swap" in said
    assert "going back" in said
    assert "the service is back to what it was" in said
    after = two.models()[V0]
    assert (after["reason"], after["reason_code"], after["hash"]) == (None, None, two.hashes[V0])
    assert two.hash_of(V0) == two.hashes[V0]
    assert "nothing to change" in two.run("swap", V0, "--to", "1.0.0")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("swap", V0, "--to", "nowhere.onnx"), "neither a version of text-embedding (1.0.0, 1.1.0"),
        (("swap", V0, "--to", "image-embedding@1.0.0"), "is image with 512 dimensions"),
        (("route", TEXT, "9.9.9=10"), "is not served here; there are: 1.0.0, 1.1.0"),
        (("add", "text-embedding@9.9.9"), "no version '9.9.9' of text-embedding"),
        (("remove", V0), "is the only version of text-embedding with traffic"),
        (("promote", V0, "--dashboard", "http://127.0.0.1:9"), "no Serve REST API answers at http://127.0.0.1:9"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_work_is_refused_before_it_takes_effect(
    two: Running, arguments: tuple[str, ...], says: str
) -> None:
    assert says in two.run(*arguments, code=1)
    assert two.shares() == {V0: 1, V1: 0}


def test_of_two_operators_at_once_the_second_is_told(two: Running) -> None:
    commands = {"alice": ("route", TEXT, "1.0.0=80", "1.1.0=20"), "bob": ("route", TEXT, "1.0.0=30", "1.1.0=70")}
    started = {user: two.start(*command, user=user) for user, command in commands.items()}
    ended = {user: command.end() for user, command in started.items()}
    said = {user: text for user, (_, text) in ended.items()}
    codes = {user: code for user, (code, _) in ended.items()}
    assert sorted(codes.values()) == [0, 1], said
    winner, loser = sorted(codes, key=lambda user: codes[user])
    assert f"{winner}@" in said[loser]
    assert " ".join(commands[winner]) in said[loser]
    assert two.shares() == ({V0: 0.8, V1: 0.2} if winner == "alice" else {V0: 0.3, V1: 0.7})


def test_a_version_with_traffic_goes_only_after_its_traffic(running: Running, tmp_path: Path) -> None:
    running.become(v1_0_0=80, v1_1_0=20)
    path = configuration(tmp_path / "serve_config.yaml", running.weighted(v1_0_0=80, v1_1_0=20))
    assert "has weight" in running.run("remove", V1, code=1)
    assert "done: remove" in running.run("remove", V1, "--drain", "--drain-time", "1", "--write", str(path))
    assert running.shares() == {V0: 1}
    assert yaml.safe_load(path.read_text()) == running.weighted(v1_0_0=80)


def test_status_shows_it_to_who_types_it(running: Running) -> None:
    command = [str(Path(sys.executable).with_name("embedserve")), "status", "--url", running.service.url]
    done = subprocess.run(command, env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, check=True)
    assert V0 in done.stdout
    assert "p99" in done.stdout

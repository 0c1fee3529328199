"""The operators' commands against the real service. The tests are one story and run in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from models.catalog.catalog import ROOT, Catalog
from models.catalog.store import pull
from models.embedder import ImageEmbedder, open_embedder
from tests.integration.service import Service
from tests.integration.traffic import Call, References, Traffic

COMMAND = [sys.executable, "-m", "deployments.cli.main"]
TEXTS = [f"request number {i} in a story about operators" for i in range(64)]
V0, V1, TEXT = "text-embedding@1.0.0", "text-embedding@1.1.0", "text-embedding"
IMAGE = "image-embedding@1.0.0"


@dataclass
class Story:
    """A running service and the file that configures it."""

    service: Service
    config: Path

    def start(self, *arguments: str, user: str = "alice") -> subprocess.Popen[str]:
        dashboard = re.findall(r"http://[\d.]+:\d+(?=\s+Ctrl-C)", self.service.log.read_text())[0]
        environment = {
            **os.environ,
            "RAY_DASHBOARD_ADDRESS": dashboard,
            "COLUMNS": "200",
            "USER": user,
            "LOGNAME": user,
        }
        return subprocess.Popen(
            [*COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=240)
        said = " ".join((out + err).split())
        assert process.returncode == code, said
        assert "Traceback" not in said
        return said

    def models(self) -> dict[str, dict[str, Any]]:
        answer = httpx2.get(f"{self.service.url}/v1/models", timeout=30, trust_env=False)
        return {entry["id"]: entry for entry in answer.json()["data"]}

    def shares(self) -> dict[str, float]:
        return {name: entry["share"] for name, entry in self.models().items() if name.startswith(TEXT)}

    def hash_of(self, model: str) -> str:
        """The artifact that answers a real request."""
        answer = httpx2.post(
            f"{self.service.url}/v1/embeddings", json={"model": model, "input": "x"}, timeout=30, trust_env=False
        )
        assert answer.status_code == 200, answer.text
        return answer.headers["x-model-hash"]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, jpeg: bytes) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("operator")
    document = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config = document["applications"][0]["deployments"][0]["user_config"]
    config["cache"] = {"bytes": 0}  # so that every vector is computed
    path = folder / "serve_config.yaml"
    path.write_text("# a comment that stays\n" + yaml.safe_dump(document, sort_keys=False))
    service = Service(folder / "log", "--config", str(path)).wait()
    calls = [Call(text, {"url": "/v1/embeddings", "json": {"model": TEXT, "input": text}}) for text in TEXTS]
    picture = {"url": "/v1/embeddings/image", "content": jpeg, "headers": {"content-type": "image/jpeg"}}
    # Sixteen that rest between requests: without rest they would take both cores from the commands under test.
    with Traffic(service.url, [*calls, Call("picture", picture)], references(jpeg), clients=16, pause=0.2) as traffic:
        yield Story(service, path)
    assert traffic.answers
    assert traffic.failures == []
    assert service.stop() == 0, service.log.read_text()


def references(jpeg: bytes) -> References:
    """What each artifact answers to the texts that are sent all the while."""
    known = {}
    for reference in (V0, V1):
        artifact = pull(Catalog.load().find(reference), allow_synthetic=False)
        known[artifact.hash] = dict(zip(TEXTS, open_embedder(artifact).embed(TEXTS), strict=True))
    pictures = open_embedder(pull(Catalog.load().find(IMAGE), allow_synthetic=True))
    assert isinstance(pictures, ImageEmbedder)
    known[pictures.artifact.hash] = {"picture": pictures.embed([jpeg])[0]}
    return known


def test_a_dry_run_shows_the_plan_and_changes_nothing(story: Story) -> None:
    said = story.run("add", V1, "--dry-run")
    assert "+- args: {model: text-embedding@1.1.0" in said
    assert "nothing was changed" in said
    assert list(story.models()) == [V0, IMAGE]


def test_a_version_is_added_without_traffic_and_written_to_the_file(story: Story) -> None:
    assert f"done: add {V1} (revision 1)" in story.run("add", V1, "--write", str(story.config))
    assert story.shares() == {V0: 1, V1: 0}
    assert story.hash_of(V1) != story.hash_of(V0)
    written = story.config.read_text()
    assert written.startswith("# a comment that stays\n")
    assert {"text-embedding--1-0-0", "text-embedding--1-1-0"} < {
        app["name"] for app in yaml.safe_load(written)["applications"]
    }


@pytest.mark.parametrize("share", [10, 50, 100])
def test_traffic_moves_step_by_step(story: Story, share: int) -> None:
    story.run("route", TEXT, f"1.0.0={100 - share}", f"1.1.0={share}")
    assert story.shares() == {V0: 1 - share / 100, V1: share / 100}


def test_rollback_goes_back_one_change(story: Story) -> None:
    assert f"done: rollback {TEXT}" in story.run("rollback", TEXT)
    assert story.shares() == {V0: 0.5, V1: 0.5}


def test_promote_gives_all_traffic_to_one_version(story: Story) -> None:
    story.run("promote", V0)
    assert story.shares() == {V0: 1, V1: 0}


def test_a_swap_changes_the_hash_under_the_label_and_rollback_swaps_back(story: Story) -> None:
    first, second = story.hash_of(V0), story.hash_of(V1)
    assert f"artifact: {V1}" in story.run("swap", V0, "--to", "1.1.0")
    assert story.hash_of(V0) == second
    story.run("rollback", TEXT)
    assert story.hash_of(V0) == first


def test_a_swap_that_the_encoder_refuses_goes_back_by_itself(story: Story) -> None:
    before = story.models()
    said = story.run("swap", V0, "--to", "nowhere.onnx", "--no-check", "--timeout", "100", code=1)
    assert "refused the swap" in said
    assert "going back" in said
    assert "the service is back to what it was" in said
    after = story.models()
    assert after[V0]["reason"] is None
    assert after[V0]["hash"] == before[V0]["hash"]
    assert story.hash_of(V0) == before[V0]["hash"]
    assert "nothing to change" in story.run("swap", V0, "--to", "1.0.0")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("swap", V0, "--to", "nowhere.onnx"), "neither a version of text-embedding (1.0.0, 1.1.0"),
        (("swap", V0, "--to", "image-embedding@1.0.0"), "is image with 512 dimensions"),
        (("route", TEXT, "9.9.9=10"), "is not served here; there are: 1.0.0, 1.1.0"),
        (("add", "text-embedding@9.9.9"), "no version '9.9.9' of text-embedding"),
        (("promote", V0, "--dashboard", "http://127.0.0.1:9"), "no Serve REST API answers at http://127.0.0.1:9"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_work_is_refused_before_it_takes_effect(
    story: Story, arguments: tuple[str, ...], says: str
) -> None:
    assert says in story.run(*arguments, code=1)
    assert story.shares() == {V0: 1, V1: 0}


def test_of_two_operators_at_once_the_second_is_told(story: Story) -> None:
    commands = {"alice": ("route", TEXT, "1.0.0=80", "1.1.0=20"), "bob": ("route", TEXT, "1.0.0=30", "1.1.0=70")}
    started = {user: story.start(*command, user=user) for user, command in commands.items()}
    said = {user: " ".join("".join(process.communicate(timeout=240)).split()) for user, process in started.items()}
    codes = {user: process.returncode for user, process in started.items()}
    assert sorted(codes.values()) == [0, 1], said
    winner, loser = sorted(codes, key=lambda user: codes[user])
    assert f"{winner}@" in said[loser]
    assert " ".join(commands[winner]) in said[loser]
    assert story.shares() == ({V0: 0.8, V1: 0.2} if winner == "alice" else {V0: 0.3, V1: 0.7})


def test_a_version_is_removed_after_its_traffic(story: Story) -> None:
    assert "has weight" in story.run("remove", V1, code=1)
    assert "done: remove" in story.run("remove", V1, "--drain", "--drain-time", "1", "--write", str(story.config))
    assert story.shares() == {V0: 1}
    assert "text-embedding--1-1-0" not in story.config.read_text()


def test_status_shows_it(story: Story) -> None:
    said = story.run("status", "--url", story.service.url)
    assert V0 in said
    assert "p99" in said

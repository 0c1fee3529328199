"""The command line as its users call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.catalog.paths import store
from tests.command_line import embedserve
from tests.integration.service import Service

PROGRAM = str(Path(sys.executable).with_name("embedserve"))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_embed_prints_a_texts_vector_without_ray() -> None:
    done = run("embed", "hello world")
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout)[:3], [-0.034478, 0.03102, 0.00673], atol=1e-4)


def test_embed_saves_a_pictures_vector(tmp_path: Path, png: bytes) -> None:
    (tmp_path / "photo.png").write_bytes(png)
    done = run("embed", str(tmp_path / "photo.png"), "--output", str(tmp_path / "vector.npy"))
    assert done.returncode == 0, done.stderr
    vector = np.load(tmp_path / "vector.npy")
    assert vector.shape == (512,)
    assert vector.dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("embed", "missing.png"), "missing.png is no file"),
        (("embed", "a", "--model", "nothing"), "no model 'nothing' in the catalogue"),
        (("embed", "a", "--model", "text-embedding@9"), "no version '9'"),
        (("up", "--profile", "prod"), "--profile must be development or production"),
        (("up", "--config", "nowhere.yaml"), "cannot read nowhere.yaml"),
        (("status", "--url", "http://127.0.0.1:9"), "no service answers"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_clear_line(arguments: tuple[str, ...], says: str) -> None:
    done = embedserve(*arguments)
    assert done.returncode == 1
    assert says in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_status_shows_what_is_served(service: Service) -> None:
    done = run("status", "--url", service.url)
    assert done.returncode == 0, done.stderr
    assert "text-embed" in done.stdout
    assert "ready" in done.stdout


def test_up_says_that_the_port_is_taken_and_how_to_choose_another(service: Service) -> None:
    done = embedserve("up", "--beside", "--port", str(service.port))
    assert done.returncode == 1
    assert f"port {service.port} is taken" in done.stderr
    assert "PORT=" in done.stderr.replace("\n", " ")


def test_up_says_that_a_ray_is_running_and_what_to_do(service: Service) -> None:
    assert service.process.poll() is None
    done = embedserve("up", "--port", "1")
    assert done.returncode == 1
    assert "a Ray runs on this machine already" in done.stderr.replace("\n", " ")
    assert "--beside" in done.stderr.replace("\n", " ")


def test_embedding_leaves_no_runtime_events_in_the_home_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "EMBEDSERVE_MODELS": str(store())}
    done = subprocess.run([PROGRAM, "embed", "hi"], capture_output=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name] == []

"""The service through public Serve alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import httpx2
import numpy as np
import openai
import pytest

from deployments.serve_internals.seams import ALL, VARIABLE
from models.catalog.paths import ROOT
from tests.integration.as_shipped.test_clients import HELLO
from tests.integration.metrics import metric
from tests.integration.service import QUICK, Service
from tests.integration.waiting import wait

MODULES = ("as_shipped/test_contract.py", "as_shipped/test_clients.py", "changing/test_model_life.py")


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("public") / "log", environment={**QUICK, VARIABLE: "off"})
    yield running.wait()
    assert running.stop() == 0, running.log.read_text()


def test_texts_and_pictures_are_embedded_and_the_metrics_say_that_nothing_private_is_used(
    public: Service, jpeg: bytes
) -> None:
    sdk = openai.OpenAI(base_url=f"{public.url}/v1", api_key="unused", max_retries=0)
    vector = sdk.embeddings.create(model="text-embedding", input="hello world").data[0].embedding
    np.testing.assert_allclose(vector[:5], HELLO, atol=1e-4)
    answer = httpx2.post(
        f"{public.url}/v1/embeddings/image",
        content=jpeg,
        headers={"content-type": "image/jpeg"},
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    form = httpx2.post(f"{public.url}/v1/embeddings/image", files=[("file", jpeg)], timeout=60, trust_env=False)
    assert form.json()["data"] == answer.json()["data"]
    other = httpx2.post(f"{public.url}/v1/embeddings/image", files=[("file", jpeg + b"x")], timeout=60, trust_env=False)
    assert other.json()["data"] == answer.json()["data"]  # computed of a view of the form
    wait(
        "seams in the metrics", lambda: metric(public.url, "embedserve_seam_in_use", "seam") == dict.fromkeys(ALL, 0.0)
    )
    wait("calls in the metrics", lambda: metric(public.url, "embedserve_calls_total", "way").keys() == {"serve"})
    assert metric(public.url, "embedserve_seam_uses_total", "seam") == {}


@pytest.mark.slow
def test_contract_clients_and_swaps_pass_through_public_serve_alone() -> None:
    """What a seam alone gives is marked with ``needs`` in those modules, and must fail here."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--timeout=1500",
        *(f"tests/integration/{name}" for name in MODULES),
    ]
    ran = subprocess.run(
        command, cwd=ROOT, env={**os.environ, VARIABLE: "off"}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout[-5000:]
    assert re.search(r"\d+ passed.*5 xfailed", ran.stdout), ran.stdout[-500:]

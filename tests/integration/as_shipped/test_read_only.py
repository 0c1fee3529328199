"""The service on a machine where it may write to its temporary folder and to shared memory, and nowhere else."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from shutil import rmtree

import httpx2
import pytest

from models.catalog.catalog import Catalog
from models.catalog.paths import store
from models.catalog.store import pull
from tests.integration.documents import fix_replicas, shipped
from tests.integration.service import QUICK, Service
from tests.integration.waiting import wait
from tests.read_only import read_only, require_mounts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
FP32, INT8 = "text-embedding@1.0.0", "text-embedding@1.1.0"


def test_it_starts_and_swaps_with_a_store_and_a_root_file_system_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, after = (pull(Catalog.load().find(name), allow_synthetic=False).hash for name in (FP32, INT8))
    folder = Path(tempfile.mkdtemp(prefix="o-", dir="/tmp"))
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # the home folder keeps none
    begin = [*require_mounts(), *read_only(store(), root=True, writable=(folder,))]
    service = Service(folder / "log", environment={**QUICK, "TMPDIR": str(folder)}, within=begin)
    try:
        service.wait()
        document = shipped()
        fix_replicas(document, 1)
        (text,) = (app for app in document["applications"] if app["name"].startswith("text-embedding"))
        assert embedded_by(service) == before
        text["deployments"][0]["user_config"]["artifact"] = INT8
        service.run(document)  # Serve may still say RUNNING of what ran before
        wait("the swap", lambda: embedded_by(service) == after)
        inside = f"/proc/{service.process.pid}/root"
        for place in (store(), Path.home(), Path("/etc"), Path("/tmp")):
            assert not writable(f"{inside}{place}")
    finally:
        assert service.stop() == 0, service.log.read_text()
        rmtree(folder)


def embedded_by(service: Service) -> str:
    answer = httpx2.post(
        f"{service.url}/v1/embeddings", json={"model": FP32, "input": "hello"}, timeout=60, trust_env=False
    )
    assert answer.status_code == 200, answer.text
    return answer.headers["x-model-hash"]


def writable(folder: str) -> bool:
    try:
        descriptor, name = tempfile.mkstemp(dir=folder)
    except OSError:
        return False
    os.close(descriptor)
    os.unlink(name)
    return True

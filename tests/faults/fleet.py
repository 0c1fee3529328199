"""A service of the text model alone with two gateways and two encoders, and what happens to it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml

from deployments.cluster.serve_api import APPLICATIONS, ServeApi, ray_token
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import open_embedder
from models.modalities.text import TextEmbedder
from tests.integration.documents import fix_replicas, keep_only, user_config
from tests.integration.isolated import Isolated, isolated
from tests.integration.service import children
from tests.integration.traffic import Call, References, Traffic

MODEL = "text-embedding@1.0.0"
GATEWAY, ENCODER = "gateway", "text-embedding--1-0-0"
TEXTS = ["hello world", "a red running shoe", *(f"waterproof hiking boots, size {n} " * 4 for n in range(6))]


@dataclass
class Fleet:
    """The service and what is known of it."""

    isolated: Isolated
    references: References

    @property
    def url(self) -> str:
        return self.isolated.service.url

    @property
    def dashboard(self) -> str:
        return self.isolated.service.dashboard

    def api(self) -> ServeApi:
        return self.isolated.service.api()

    def processes(self, title: str) -> list[int]:
        """Process ids of this service whose command line holds ``title``."""
        return [pid for pid, name in children(self.isolated.service).items() if title in name]

    def kill(self, title: str) -> int:
        """Kill one process as the kernel does when memory is short."""
        victim = self.processes(title)[0]
        os.kill(victim, signal.SIGKILL)
        return victim

    def pids(self, application: str) -> set[int]:
        """The replicas of an application that Serve counts as running."""
        app = self.api().details()["applications"][application]
        replicas = [r for d in app["deployments"].values() for r in d["replicas"]]
        return {r["pid"] for r in replicas if r["state"] == "RUNNING"}

    def deployed(self) -> dict[str, Any]:
        """What was last deployed."""
        document: dict[str, Any] = yaml.safe_load(self._config.read_text())
        document["http_options"]["port"] = self.isolated.service.port
        return document

    def deploy(self, document: dict[str, Any]) -> None:
        """Deploy it as the REST API does, whatever the CLI would say of it."""
        token = ray_token()
        answer = httpx2.put(
            f"{self.dashboard}{APPLICATIONS}",
            json=document,
            headers={"authorization": f"Bearer {token}"} if token else {},
            timeout=60,
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text
        self._config.write_text(yaml.safe_dump(document))

    @property
    def _config(self) -> Path:
        return self.isolated.folder / "serve_config.yaml"

    def ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/health/ready", timeout=30, trust_env=False).status_code == 200
        except httpx2.HTTPError:
            return False

    def traffic(self, clients: int = 16, pause: float = 0) -> Traffic:
        calls = [Call(t, {"url": "/v1/embeddings", "json": {"model": "text-embedding", "input": t}}) for t in TEXTS]
        return Traffic(self.url, calls, self.references, clients, pause)


def text_only(document: dict[str, Any], replicas: int = 2) -> None:
    """Text alone, without a cache that would answer instead of encoders, and a fixed number of replicas."""
    keep_only(document, "text")
    user_config(document)["cache"] = {"bytes": 0}
    fix_replicas(document, replicas)


def known_vectors(reference: str = MODEL) -> References:
    """What the artifact answers to what the clients send."""
    embedder = open_embedder(pull(Catalog.load().find(reference), allow_synthetic=True))
    assert isinstance(embedder, TextEmbedder)
    return {embedder.artifact.hash: dict(zip(TEXTS, embedder.embed(TEXTS), strict=True))}


@contextlib.contextmanager
def fleet(
    change: Callable[[dict[str, Any]], None] = text_only,
    prepare: Callable[[Path], dict[str, str]] = lambda _: {},
) -> Iterator[Fleet]:
    """Run it."""
    with isolated(change=change, prepare=prepare) as running:
        yield Fleet(running, known_vectors())

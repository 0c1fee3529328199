"""A cluster of the tests' own: API server, KubeRay, Serve and gateway, and operators at their terminals."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from deployments.cli.main import app
from deployments.cluster.preload_key import PRELOAD
from models.catalog.paths import ROOT
from tests.deployments.operator.documents import two_versions
from tests.servers.kuberay import KubeRay, kuberay
from tests.servers.kubernetes import ApiServer, serving
from tests.servers.serve_rest import ServeRest, serve_rest

PRELOADED = ["text-embedding@1.0.0", "image-embedding@1.0.0", "clip-text-embedding@1.0.0", "text-embedding@1.1.0"]
COMMENT = "# weights are agreed with the search team"
PULL = {"name": "models", "envFrom": [{"configMapRef": {"name": "embedserve-preload"}}, {"secretRef": {"name": "s"}}]}
POD = {"spec": {"initContainers": [PULL]}}
GROUPS = [
    {"groupName": "cpu", "replicas": 1, "minReplicas": 1, "maxReplicas": 8, "template": POD},
    {"groupName": "gpu", "replicas": 0, "minReplicas": 0, "maxReplicas": 4, "template": POD},
]
HASTE = {  # what commands wait for, in s (ASKS: how often), as tests can bear it
    "deployments.operator.converge.SETTLE_S": 0.1,
    "deployments.operator.converge.POLL_S": 0.02,
    "deployments.operator.converge.ASKS": 1,
    "deployments.operator.converge.REFRESH_S": 0.05,
    "deployments.operator.converge.STALE_S": 0.15,
    "deployments.operator.kube.service.FRESH_S": 0.5,
    "deployments.operator.kube.service.LOOK_S": 0.02,
    "deployments.operator.kube.api.RETRY_S": 0.05,
    "deployments.operator.kube.api.PATIENCE_S": 1.5,
}
HASTY = """
import json, pkgutil, sys
from deployments.cli.main import app
for name, value in json.loads(sys.argv.pop(1)).items():
    module, _, constant = name.rpartition(".")
    setattr(pkgutil.resolve_name(module), constant, value)
app()
"""
ROLE = re.compile(r"An operator's role:\n\n```yaml\n(.+?)```", re.DOTALL)  # in docs/operations.md


@dataclass
class Cluster:
    """Everything that a command meets."""

    api: ApiServer
    serve: ServeRest
    operator: KubeRay
    folder: Path
    server: contextlib.ExitStack  # the API server's process

    def api_is_away(self, seconds: float) -> None:
        """Take the API server away, with its connections and its port, and bring it back."""
        self.api.up = False
        self.server.close()
        time.sleep(seconds)
        self.api.up = True
        self.server.enter_context(serving(self.api))

    def run(self, *words: str, url: bool = True) -> Result:
        """A command with ``--kube``, from a machine that reaches the gateway or not."""
        return CliRunner().invoke(app, self.with_kube(*words, url=url))

    def plain(self, *words: str) -> Result:
        """A command without it."""
        return CliRunner().invoke(app, self.without_kube(*words))

    def with_kube(self, *words: str, url: bool = True) -> list[str]:
        """The whole line of a command with ``--kube``."""
        place = ["--url", self.serve.url] if url else []
        return [*words, *([] if words[0] == "history" else ["--kube", *place])]

    def without_kube(self, *words: str) -> list[str]:
        """The whole line of a command without it."""
        return [*words, "--dashboard", self.serve.url, "--url", self.serve.url]

    def apart(self, words: list[str]) -> subprocess.Popen[bytes]:
        """A command in a process of its own, as hasty as those in this one."""
        return subprocess.Popen([sys.executable, "-c", HASTY, json.dumps(HASTE), *words], stdout=subprocess.DEVNULL)

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.api.get("rayservices", "embedserve")["spec"]
        return spec

    @property
    def text(self) -> str:
        return str(self.spec["serveConfigV2"])

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load(self.text)
        return found

    @property
    def preload(self) -> list[str]:
        return str(self.api.get("configmaps", "embedserve-preload")["data"][PRELOAD]).split()

    def history(self) -> list[dict[str, Any]]:
        data = self.api.get("configmaps", "embedserve-history")["data"]
        return [yaml.safe_load(data[key]) for key in sorted(data)]


def documented_rules() -> list[dict[str, Any]]:
    """What docs/operations.md asks administrators to allow operators."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rules: list[dict[str, Any]] = yaml.safe_load(ROLE.findall(page)[0])["rules"]
    return rules


def original() -> str:
    """What the manifest holds at first: a text with a comment, as people write it."""
    text = yaml.safe_dump(two_versions(), sort_keys=False)
    return text.replace(" models:\n", f" models: {COMMENT}\n", 1)


def rayservice(text: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "embedserve"},
        "spec": {"serveConfigV2": text, "rayClusterConfig": {"workerGroupSpecs": GROUPS}},
    }


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    for name, value in HASTE.items():
        monkeypatch.setattr(name, value)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("COLUMNS", "400")
    with contextlib.ExitStack() as server, serve_rest() as serve:
        api = ApiServer()
        server.enter_context(serving(api))
        api.rules = documented_rules()
        api.put("rayservices", rayservice(original()))
        api.put("configmaps", {"metadata": {"name": "embedserve-preload"}, "data": {PRELOAD: " ".join(PRELOADED)}})
        api.put("rayclusters", {"metadata": {"name": "embedserve-bcdfg"}, "spec": {"workerGroupSpecs": GROUPS}})
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path)))
        with kuberay(api, serve) as operator:
            operator.wait_for(4)
            yield Cluster(api, serve, operator, tmp_path, server)


def done(result: object) -> str:
    """What a command printed that succeeded."""
    assert result.exit_code == 0, result.output
    return str(result.output)

"""Latency while artifacts are swapped, beside steady latency: ``python -m bench.swap``.

Sixteen clients check every vector against the artifact it is labelled with (the tests' own clients), while the text
model goes from fp32 to int8 and back: once without rest, so that no core is free, and once resting between requests.
"""

from __future__ import annotations

import copy
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from deployments.cluster.local_ray import ServeApi
from deployments.cluster.serve_file import ServeConfig
from models.catalog.catalog import ROOT, Catalog
from models.catalog.store import pull
from models.embedder import TextEmbedder, open_embedder
from tests.integration.service import Service
from tests.integration.traffic import Call, References, Traffic

VERSIONS = ("text-embedding@1.0.0", "text-embedding@1.1.0")
TEXTS = ["hello world", "a red running shoe", "waterproof hiking boots " * 12]
STEADY_S = 3.0
PAUSES = (0.0, 0.2)  # 0.2: sixteen clients take about a third of one core
SWAPS = 10


@contextmanager
def service(document: dict[str, Any]) -> Iterator[tuple[Service, ServeApi]]:
    """The service of ``document``, and its REST API."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(document))
        running = Service(Path(folder) / "log", "--config", str(path)).wait()
        found = re.search(r"dashboard: (http://\S+)", running.log.read_text())
        assert found is not None
        document["http_options"]["port"] = running.port
        yield running, ServeApi(found[1])
        running.stop()


def measure(pause: float) -> tuple[list[float], list[float], int]:
    """Seconds of steady requests and of those that began while a swap was under way, and how many failed."""
    document = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    document["applications"][0]["deployments"][0]["user_config"]["cache"] = {"bytes": 0}
    references: References = {}
    hashes = {}
    for name in VERSIONS:
        embedder = open_embedder(pull(Catalog.load().find(name), allow_synthetic=True))
        assert isinstance(embedder, TextEmbedder)
        hashes[name] = embedder.artifact.hash
        references[embedder.artifact.hash] = {text: embedder.embed([text])[0] for text in TEXTS}
    calls = [Call(t, {"url": "/v1/embeddings", "json": {"model": "text-embedding", "input": t}}) for t in TEXTS]
    with service(document) as (running, api), Traffic(running.url, calls, references, pause=pause) as traffic:
        traffic.wait_for(200)
        steady, swaps = [], []
        for turn in range(SWAPS):
            start = time.monotonic()
            time.sleep(STEADY_S)
            steady += [seconds for _, seconds, _, _ in traffic.since(start)]
            target = VERSIONS[(turn + 1) % 2]
            start = time.monotonic()
            document["applications"][1]["deployments"][0]["user_config"] = {"artifact": target}
            api.deploy(ServeConfig(copy.deepcopy(document)))
            url = f"{running.url}/v1/models/{VERSIONS[0]}"
            while httpx2.get(url, trust_env=False).json()["hash"] != hashes[target]:
                time.sleep(0.05)
            swaps += [seconds for _, seconds, _, _ in traffic.since(start)]
    return steady, swaps, len(traffic.failures)


def main() -> None:
    """Print both measurements."""
    table = Table(
        "clients rest, s", "steady p50, ms", "p99", "during swaps p50", "p99", "p99 ratio", "requests", "failed"
    )
    for pause in PAUSES:
        steady, swaps, failed = measure(pause)
        percentiles = [p * 1000 for values in (steady, swaps) for p in np.percentile(values, [50, 99])]
        ratio = percentiles[3] / percentiles[1]
        numbers = [f"{value:.1f}" for value in percentiles]
        table.add_row(f"{pause}", *numbers, f"{ratio:.2f}", str(len(steady) + len(swaps)), str(failed))
    Console().print(table)


if __name__ == "__main__":
    main()

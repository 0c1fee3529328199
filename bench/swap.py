"""Latency while artifacts are swapped, beside steady latency: ``python -m bench.swap``.

Sixteen closed-loop clients check every vector against the artifact it is labelled with (the tests' own clients), while
the text model goes from fp32 to int8 and back.
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

from deployments.cluster import ServeApi
from deployments.serve_config import ServeConfig
from models.catalog import ROOT, Catalog
from models.embedder import TextEmbedder, open_embedder
from models.store import pull
from tests.integration.service import Service
from tests.integration.traffic import Call, References, Traffic

VERSIONS = ("text-embedding@1.0.0", "text-embedding@1.1.0")
TEXTS = ["hello world", "a red running shoe", "waterproof hiking boots " * 12]
STEADY_S = 10.0
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


def main() -> None:
    """Print p50 and p99 of steady seconds of each version, and of the requests that overlapped a swap."""
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
    with service(document) as (running, api), Traffic(running.url, calls, references) as traffic:
        traffic.wait_for(200)
        steady, swaps = [], []
        for turn in range(SWAPS):
            start = time.monotonic()
            traffic.wait_for(int(STEADY_S * 20))
            steady += [seconds for _, seconds, _, _ in traffic.since(start)]
            target = VERSIONS[(turn + 1) % 2]
            start = time.monotonic()
            document["applications"][1]["deployments"][0]["user_config"] = {"artifact": target}
            api.deploy(ServeConfig(copy.deepcopy(document)))
            url = f"{running.url}/v1/models/{VERSIONS[0]}"
            while httpx2.get(url, trust_env=False).json()["hash"] != hashes[target]:
                time.sleep(0.05)
            swaps += [seconds for _, seconds, _, _ in traffic.since(start)]
    for label, values in (("steady", steady), ("while a swap is under way", swaps)):
        p50, p99 = np.percentile(values, [50, 99]) * 1000
        print(f"{label}: {len(values)} requests, p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    print(f"p99 ratio {np.percentile(swaps, 99) / np.percentile(steady, 99):.2f}, failures {len(traffic.failures)}")


if __name__ == "__main__":
    main()

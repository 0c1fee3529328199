"""Latency while artifacts are swapped, beside steady latency: ``python -m bench.swap``.

Sixteen clients, those of the tests, check every vector against the artifact it is labelled with, while the text model
goes from fp32 to int8 and back. First the clients do not pause, so that no core is free; then they pause after each
answer.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Sequence

import httpx2
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.systems.ours import shipped
from bench.systems.running import TEXT_VERSIONS, running
from deployments.cluster.serve_file import ServeConfig
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import open_embedder
from models.modalities.text import TextEmbedder
from tests.integration.traffic import Call, References, Traffic

TEXTS = ["hello world", "a red running shoe", "waterproof hiking boots " * 12]
STEADY_S = 3.0
PAUSES = (0.0, 0.2)  # seconds after each answer; with 0.2 the clients take about a third of one core
SWAPS = 10


def measure(pause: float) -> tuple[list[float], list[float], int]:
    """Latencies in seconds of steady requests and of those that began during a swap, and how many requests failed."""
    document = shipped()
    document["applications"][0]["deployments"][0]["user_config"]["cache"] = {"bytes": 0}
    references: References = {}
    hashes = {}
    for name in TEXT_VERSIONS:
        embedder = open_embedder(pull(Catalog.load().find(name), allow_synthetic=True))
        assert isinstance(embedder, TextEmbedder)
        hashes[name] = embedder.artifact.hash
        references[embedder.artifact.hash] = {text: embedder.embed([text])[0] for text in TEXTS}
    calls = [Call(t, {"url": "/v1/embeddings", "json": {"model": "text-embedding", "input": t}}) for t in TEXTS]
    with running(document) as (service, api), Traffic(service.url, calls, references, pause=pause) as traffic:
        traffic.wait_for(200)
        steady, swaps = [], []
        for turn in range(SWAPS):
            start = time.monotonic()
            time.sleep(STEADY_S)
            steady += [seconds for _, seconds, _, _ in traffic.since(start)]
            target = TEXT_VERSIONS[(turn + 1) % 2]
            start = time.monotonic()
            document["applications"][1]["deployments"][0]["user_config"] = {"artifact": target}
            api.deploy(ServeConfig(copy.deepcopy(document)))
            url = f"{service.url}/v1/models/{TEXT_VERSIONS[0]}"
            while httpx2.get(url, trust_env=False).json()["hash"] != hashes[target]:
                time.sleep(0.05)
            swaps += [seconds for _, seconds, _, _ in traffic.since(start)]
    return steady, swaps, len(traffic.failures)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure without and with pauses, and print both."""
    argparse.ArgumentParser(prog="python -m bench.swap", description=__doc__).parse_args(arguments)
    table = Table(
        "clients pause, s", "steady p50, ms", "p99", "during swaps p50", "p99", "p99 ratio", "requests", "failed"
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

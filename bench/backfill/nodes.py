"""What more engines bring on several nodes: a Ray cluster on machines of its own, which are network namespaces."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import orjson

from bench.backfill.stub_engine import PLACES, SECONDS
from models.catalog.paths import store
from tests.integration.nodes import MOUNTED, Nodes

NODES = 4
CORES = 4  # of a node, as Ray is told: two engines, and what reads, prepares and writes
LONGEST_S = 900


def nodes(counts: Sequence[int], seconds: float) -> dict[str, Any]:
    """What ``actors`` finds on a cluster, and on how many of its nodes the engines were.

    Raises:
        RuntimeError: a job failed.
    """
    with tempfile.TemporaryDirectory(prefix="bench-places-", dir="/tmp") as places:  # which all machines see
        os.environ |= {SECONDS: str(seconds), PLACES: places}
        cluster = Nodes(workers=NODES, cpus=CORES)
        try:
            command = [sys.executable, "-m", "bench.backfill", "actors", "--address", f"{cluster.head}:6379"]
            command += ["--block-s", str(seconds), "--actors", *map(str, counts)]
            own = ["sh", "-c", MOUNTED, "sh", str(cluster.folder / "0"), str(cluster.private), str(store())]
            log = cluster.folder / "bench.log"
            code = cluster.machines.start(0, [*own, *command], cluster.environment, log).wait(LONGEST_S)
            said = log.read_text()
        finally:
            cluster.close()
    if code:
        raise RuntimeError(said)
    found: dict[str, Any] = orjson.loads(said[said.index("\n{\n") :])  # after a line for each count
    return found

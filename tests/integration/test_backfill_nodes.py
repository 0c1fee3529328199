"""A backfill on a cluster of several machines grows with its engines, and goes on when a machine is lost, as spot nodes are."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from bench.backfill.nodes import NODES
from bench.backfill.nodes import nodes as measured
from models.catalog.paths import store
from tests.deployments.backfill.conftest import MODEL, rows_in, titles, write_rows
from tests.integration.nodes import MOUNTED, Nodes
from tests.integration.waiting import wait

BLOCKS, BLOCK_ROWS = 300, 8


@pytest.mark.slow
@pytest.mark.timeout(800)
def test_a_job_whose_node_is_lost_ends_complete_on_the_others() -> None:
    nodes = Nodes(workers=2, cpus=4)
    try:
        source, sink = nodes.folder / "rows.parquet", nodes.folder / "sink"
        write_rows(source, list(titles(BLOCKS * BLOCK_ROWS)))
        words = ["backfill", MODEL, "--from", str(source), "--id", "sku", "--column", "title", "--to", str(sink)]
        words += ["--block-rows", str(BLOCK_ROWS), "--address", f"{nodes.head}:6379", "--engines", "2:2", "--cpus", "1"]
        program = str(Path(sys.executable).with_name("embedserve"))
        own = ["sh", "-c", MOUNTED, "sh", str(nodes.folder / "0"), str(nodes.private), str(store())]
        log = nodes.folder / "job.log"
        job = nodes.machines.start(0, [*own, program, *words], nodes.environment, log)

        def noted() -> int:
            return len(list(sink.glob("_backfill/run-0001/blocks/*.json")))

        wait("blocks of both engines", lambda: noted() >= 20 or job.poll() is not None, 180)
        assert job.poll() is None, log.read_text()
        before = noted()
        nodes.lose(2)
        assert job.wait(400) == 0, log.read_text()
        summary = json.loads(log.read_text().strip().splitlines()[-1])
        print(f"a node was lost after {before} of {BLOCKS} blocks; {summary['this_start']} at {time.strftime('%T')}")
        assert before < BLOCKS
        assert (summary["embedded"], summary["bad"]) == (BLOCKS * BLOCK_ROWS, 0)
        assert sorted(rows_in(sink)["id"].to_pylist()) == sorted(f"p{i}" for i in range(BLOCKS * BLOCK_ROWS))
    finally:
        nodes.close()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_folder_that_each_node_has_for_itself_is_no_sink() -> None:
    cluster = Nodes(workers=1, cpus=4)
    try:
        source = cluster.folder / "rows.parquet"
        write_rows(source, list(titles(40)))
        words = ["backfill", MODEL, "--from", str(source), "--id", "sku", "--column", "title"]
        words += ["--to", str(cluster.private / "sink"), "--address", f"{cluster.head}:6379", "--cpus", "1"]
        program = str(Path(sys.executable).with_name("embedserve"))
        own = ["sh", "-c", MOUNTED, "sh", str(cluster.folder / "0"), str(cluster.private), str(store())]
        log = cluster.folder / "job.log"
        job = cluster.machines.start(0, [*own, program, *words], cluster.environment, log)
        assert job.wait(300) == 1, log.read_text()
        assert "Name a sink (and --state) that all nodes share" in " ".join(log.read_text().split())
    finally:
        cluster.close()


@pytest.mark.slow
@pytest.mark.timeout(840)
def test_throughput_grows_with_the_engines_of_the_nodes() -> None:
    found = measured([1, 2, 4, 8], 1.0)
    print(found)
    assert found["nodes"] == {"1": 1, "2": 2, "4": NODES, "8": NODES}
    assert all(share > 0.9 for share in found["of_linear"].values())

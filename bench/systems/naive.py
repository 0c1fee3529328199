"""The plain Ray Serve application of ``naive_app.py``, with none of our switches."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.systems.ours import measured
from bench.systems.server import Server
from deployments.cluster.ports import free_port
from deployments.serve_internals.settings import SWITCHES
from models.catalog.paths import ROOT


def start(folder: Path) -> Server:
    """Start it with the graphs that our text models run, its log in ``folder``."""
    specs = {spec.precision: spec for spec in measured() if spec.type == "text"}
    port = free_port()
    command = [sys.executable, "-m", "bench.systems.naive_app", "--port", str(port)]
    command += ["--tokenizer", str(specs["fp32"].graph.with_suffix(".tokenizer.json"))]
    command += ["--fp32", str(specs["fp32"].graph), "--int8", str(specs["int8"].graph)]
    environment = {**dict.fromkeys(SWITCHES), "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    environment["RAY_worker_niceness"] = "0"  # Ray's own 15 would let every other system go first
    return Server("naive", command, port, folder / "naive.log", environment)

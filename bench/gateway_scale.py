"""What a request costs the gateway as encoder replicas grow: ``python -m bench.gateway_scale``.

The encoders are stubs that take a fixed time (``bench/stub.py``), so that dozens of real replicas fit on one machine.
Requests come at a constant rate and never wait for each other: each is one call, whatever the number of replicas, and
only what grows with them can make it dearer. The gateway has a core of its own, because dozens of processes that take
turns on it would empty its caches, which encoders on other nodes do not. Numbers go up and down again, so that drift
shows.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
import yaml
from rich.console import Console
from rich.table import Table

from bench.machine import describe
from bench.open_loop import OpenLoad
from bench.overload import run_open
from bench.processes import Mark
from bench.stats import median
from bench.stub import SERVICE_S
from deployments.cluster.local_ray import ServeApi, free_port, ready, start_local
from deployments.cluster.serve_file import ServeConfig
from models.catalog.catalog import ROOT, Catalog
from models.catalog.store import pull

REPLICAS = (1, 2, 4, 8, 16, 32, 64)
RATE = 150.0
CALLS = 256  # in flight per replica, so that no request waits for another's call
SECONDS = 10.0
WARM_S = 2.0
ROUNDS = 1  # at each visit; every number is visited on the way up and on the way down
TOKENS = 13
START_S = 900
BAR = 0.1  # how far the cost may be from that of one replica
REFERENCE = "text-embedding@1.0.0"
GATEWAY, ENCODER = "gateway", "text-embedding--1-0-0"


@dataclass(frozen=True)
class Point:
    """One number of replicas, measured once."""

    replicas: int
    gateway_ms: float  # processor time of the gateway per request
    idle_ms_per_s: float  # processor time of the gateway per second without requests
    p50_ms: float
    answered: int
    failed: int
    replica_mib: float  # proportional memory of one encoder


def document(port: int, replicas: int) -> dict[str, Any]:
    """The project's gateway over stubs, without a cache."""
    source = yaml.safe_load((ROOT / "serve_config.yaml").read_text(encoding="utf-8"))
    gateway, encoder, *_ = source["applications"]
    config = gateway["deployments"][0]["user_config"]
    config.update(models={"text-embedding": {"type": "text", "versions": {"1.0.0": 1}}}, aliases={}, cache={"bytes": 0})
    config["queue"] = {"calls_per_replica": CALLS}
    gateway["deployments"][0]["autoscaling_config"]["max_replicas"] = 1
    encoder["import_path"] = "bench.stub:text_encoder"
    encoder["deployments"][0].pop("autoscaling_config")
    encoder["deployments"][0].update(num_replicas=replicas, ray_actor_options={"num_cpus": 0.01})
    source["applications"] = [gateway, encoder]
    source["http_options"]["port"] = port
    return source  # type: ignore[no-any-return]


def pids(api: ServeApi, application: str) -> list[int]:
    """The processes of an application's replicas that serve."""
    app = api.details()["applications"].get(application, {"deployments": {}})
    found = [r for d in app["deployments"].values() for r in d["replicas"] if r["state"] == "RUNNING"]
    return [replica["pid"] for replica in found]


def scale(api: ServeApi, port: int, replicas: int) -> None:
    """Deploy, and wait until all replicas serve and the gateway has noticed."""
    api.deploy(ServeConfig(document(port, replicas)))
    deadline = time.monotonic() + START_S
    while len(pids(api, ENCODER)) != replicas or not ready(f"http://127.0.0.1:{port}"):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(pids(api, ENCODER))} of {replicas} replicas after {START_S} s")
        time.sleep(1)
    time.sleep(10)  # the gateway counts replicas every 5 s


def pin(mark: Mark, gateway: int) -> None:
    """Give the first core to the gateway and the others to everything else."""
    first, *others = range(os.cpu_count() or 1)
    for pid in (*mark.pids(), os.getpid()):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), {first} if pid == gateway else others)


def point(api: ServeApi, port: int, replicas: int, tokenizer: Path, first: int) -> Point:
    """Measure one number of replicas."""
    gateway = pids(api, GATEWAY)[0]

    def load(seconds: float, number: int) -> OpenLoad:
        return OpenLoad(port, "/v1/embeddings", REFERENCE, str(tokenizer), TOKENS, RATE, seconds, number)

    run_open(load(WARM_S, first))
    before = cpu_seconds(gateway)
    time.sleep(WARM_S)
    idle = (cpu_seconds(gateway) - before) / WARM_S
    before, begin = cpu_seconds(gateway), time.monotonic()
    result = run_open(load(SECONDS, first + 100_000))
    spent, lasted = cpu_seconds(gateway) - before, time.monotonic() - begin
    answered = result.statuses.get("200", 0)
    return Point(
        replicas=replicas,
        gateway_ms=(spent - idle * max(lasted - SECONDS, 0)) / max(answered, 1) * 1000,
        idle_ms_per_s=idle * 1000,
        p50_ms=result.p50_ms,
        answered=answered,
        failed=result.sent - answered,
        replica_mib=median([proportional_mib(pid) for pid in pids(api, ENCODER)]),
    )


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process, to the nanosecond; /proc/PID/stat counts hundredths of a second."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def proportional_mib(pid: int) -> float:
    """A process's memory, pages that it shares counted in part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def table(points: list[Point], counts: Sequence[int]) -> Table:
    """Medians by number of replicas."""
    result = Table(
        "replicas", "gateway ms/request", "against 1", "gateway idle ms/s", "p50 ms", "failed", "MiB a replica"
    )
    base = median([p.gateway_ms for p in points if p.replicas == counts[0]])
    for count in counts:
        mine = [p for p in points if p.replicas == count]
        cost = median([p.gateway_ms for p in mine])
        result.add_row(
            str(count),
            f"{cost:.3f}",
            f"{cost / base - 1:+.1%}",
            f"{median([p.idle_ms_per_s for p in mine]):.1f}",
            f"{median([p.p50_ms for p in mine]):.1f}",
            str(sum(p.failed for p in mine)),
            f"{median([p.replica_mib for p in mine]):.0f}",
        )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write bench/results/gateway_scale.json."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway_scale", description=__doc__)
    parser.add_argument("--replicas", type=int, nargs="+", default=list(REPLICAS))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(arguments)
    os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    tokenizer = pull(Catalog.load().find(REFERENCE), allow_synthetic=False).tokenizer
    assert tokenizer
    machine, port, mark = describe(), free_port(), Mark()
    os.environ.update(mark.environment())
    local = start_local()
    points: list[Point] = []
    try:
        api = ServeApi(local.dashboard)
        for count in [*options.replicas, *reversed(options.replicas)]:
            scale(api, port, count)
            pin(mark, pids(api, GATEWAY)[0])
            for _ in range(options.rounds):
                points.append(point(api, port, count, tokenizer, len(points) * 1_000_000))
                print(points[-1], file=sys.stderr, flush=True)
    finally:
        ray.shutdown()
    Console(width=120).print(table(points, options.replicas))
    print(f"{RATE:g} requests/s, {SERVICE_S * 1000:g} ms a call; {machine}")
    results = ROOT / "bench" / "results"
    results.mkdir(exist_ok=True)
    document_ = {"machine": machine, "rate": RATE, "service_s": SERVICE_S, "points": [asdict(p) for p in points]}
    (results / "gateway_scale.json").write_text(json.dumps(document_, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A flash crowd on this machine and in the simulator: ``python -m bench.autoscale_real`` compares replicas and latency.

The service is the project's own, with its policy and its delays but one: 30 s until a replica goes. Its encoders are
real replicas whose engine waits as long as the measured one computes (``bench/stub.py``), so that a few cores hold eight.
The simulator knows what ``bench/service_times.json`` says, no more.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import math
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import ray
import yaml
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from bench.autoscale_model import Run, Service, simulate
from bench.bodies import TextBody
from bench.connection import Connection, request_bytes
from bench.machine import describe
from bench.service_times import FILE
from bench.stats import percentile
from bench.texts import Texts
from bench.traces import Trace, step
from deployments.cluster.local_ray import ServeApi, free_port, start_local, wait_until_ready
from deployments.cluster.serve_file import ServeConfig
from deployments.config.queue import Queue
from deployments.gateway.model_version import text_cost
from models.catalog.catalog import ROOT, Catalog
from models.catalog.store import pull

REFERENCE, APPLICATION = "text-embedding@1.0.0", "text-embedding--1-0-0"
TOKENS = 128  # so long that requests are few, and the gateway's work small
LOW, HIGH = 0.3, 2.5  # of what one replica answers in full calls
SECONDS = (25, 60, 75)
SCALING = {"downscale_delay_s": 30}
LOAD_S = 2.0  # of a start; the rest of it is Ray's, and real
SEED = 2
WARM_S, START_S = 5, 180
CONNECTIONS = 4096


@dataclass
class Seen:
    """What happened on the machine."""

    statuses: list[tuple[float, int]] = field(default_factory=list)  # second of arrival, status
    latencies: list[tuple[float, float]] = field(default_factory=list)  # second of arrival, seconds
    replicas: list[tuple[float, int]] = field(default_factory=list)  # second, replicas that serve

    @property
    def failed(self) -> int:
        """Requests without a good answer."""
        return sum(status != 200 for _, status in self.statuses)

    def serving(self, seconds: int) -> NDArray[np.int64]:
        """Replicas in each second."""
        times, counts = zip(*self.replicas, strict=True)
        last = np.searchsorted(times, np.arange(seconds), "right") - 1
        found: NDArray[np.int64] = np.array(counts)[last.clip(0)]
        return found

    def worst(self, seconds: int) -> NDArray[np.float64]:
        """The longest latency of what arrived in each second; NaN where nothing did."""
        found = np.full(seconds, np.nan)
        for moment, latency in self.latencies:
            found[int(moment)] = np.fmax(found[int(moment)], latency)
        return found


def service(tokenizer: Path) -> Service:
    """What the simulator knows of it."""
    measured = json.loads(FILE.read_text(encoding="utf-8"))["models"][REFERENCE]
    queue = Queue()
    guessed = text_cost(Texts.of(tokenizer, TOKENS).text(1))  # gateways fill calls by a guess from the characters
    full = max(1, queue.call_cost // guessed) * TOKENS
    waiting = {"queue_cost": queue.waiting_items * TOKENS, "queue_s": queue.waiting_s or math.inf}
    return Service("text", **measured, request_cost=TOKENS, call_cost=full, **waiting)


def document(port: int) -> dict[str, Any]:
    """The project's configuration with one text encoder, and without a cache."""
    source: dict[str, Any] = yaml.safe_load((ROOT / "serve_config.yaml").read_text(encoding="utf-8"))
    gateway, encoder = copy.deepcopy(source["applications"][:2])
    routes = {"text-embedding": {"type": "text", "versions": {"1.0.0": 1}}}
    gateway["deployments"][0]["user_config"].update(models=routes, aliases={}, cache={"bytes": 0})
    gateway["deployments"][0]["autoscaling_config"]["max_replicas"] = 1
    measured = json.loads(FILE.read_text(encoding="utf-8"))["models"][REFERENCE]
    times = {"call_s": measured["call_s"], "item_s": TOKENS * measured["cost_s"], "load_s": LOAD_S}
    encoder["import_path"] = "bench.stub:timed_encoder"
    encoder["deployments"][0].update(user_config=times, ray_actor_options={"num_cpus": 0.1})
    encoder["deployments"][0]["autoscaling_config"].update(SCALING)
    source["applications"] = [gateway, encoder]
    source["http_options"]["port"] = port
    return source


async def replay(trace: Trace, port: int, body: TextBody, seen: Seen, begin: float) -> None:
    """Send what arrives in each second, evenly, whatever the answers do; latency counts from the intended start."""
    idle: list[Connection] = []
    limit = asyncio.Semaphore(CONNECTIONS)

    async def one(number: int, moment: float) -> None:
        async with limit:
            connection = idle.pop() if idle else await Connection.connect(port)
            status, _ = await connection.exchange(request_bytes(body.path, body.content_type, body.data(number)))
            seen.statuses.append((moment, status))
            seen.latencies.append((moment, time.perf_counter() - begin - moment))
            if not connection.closed:
                idle.append(connection)

    moments = [second + i / n for second, n in enumerate(trace.requests.tolist()) for i in range(n)]
    async with asyncio.TaskGroup() as group:
        for number, moment in enumerate(moments):
            await asyncio.sleep(max(begin + moment - time.perf_counter(), 0))
            group.create_task(one(number, moment))


def measure(trace: Trace, tokenizer: Path) -> Seen:
    """Run the service and the trace."""
    os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    seen, port, local = Seen(), free_port(), start_local()
    over = threading.Event()
    body = TextBody("/v1/embeddings", REFERENCE, Texts.of(tokenizer, TOKENS), 1)
    try:
        api, config = ServeApi(local.dashboard), ServeConfig(document(port))
        api.deploy(config)
        wait_until_ready(api, config, START_S, lambda _: None)
        warm = Trace("warm", np.full(WARM_S, trace.requests[0]))
        asyncio.run(replay(warm, port, body, Seen(), time.perf_counter()))
        begin = time.perf_counter()

        def watch() -> None:
            while not over.is_set():
                replicas = api.details()["applications"][APPLICATION]["deployments"]["TextEncoder"]["replicas"]
                count = sum(replica["state"] == "RUNNING" for replica in replicas)
                seen.replicas.append((time.perf_counter() - begin, count))
                over.wait(0.5)

        watching = threading.Thread(target=watch)
        watching.start()
        asyncio.run(replay(trace, port, body, seen, begin))
        over.set()
        watching.join()
    finally:
        over.set()
        ray.shutdown()
    return seen


def compared(run: Run, seen: Seen) -> Table:
    """Both as a table."""
    length, rise = run.trace.seconds, SECONDS[0]
    measured = seen.serving(length)
    latencies = [latency for _, latency in seen.latencies]

    def first(holds: NDArray[np.bool_], since: int) -> str:
        found = np.nonzero(holds[since:])[0]
        return f"{found[0]} s" if len(found) else "not seen"

    def milliseconds(value: float) -> str:
        return f"{value:,.0f} ms"

    result = Table("", "simulated", "measured", box=box.SIMPLE_HEAD)
    both = (run.serving, measured)
    second = [first(values >= 2, rise) for values in both]
    enough = [first(values >= HIGH, rise) for values in both]
    gone = [first(values <= 1, rise + SECONDS[1]) for values in both]
    result.add_row("second replica serves, after the rise", *second)
    result.add_row("as many as the traffic needs", *enough)
    result.add_row("most replicas", str(run.serving.max()), str(measured.max()))
    result.add_row("one replica again, after the fall", *gone)
    result.add_row("replicas, mean", f"{run.serving.mean():.2f}", f"{measured.mean():.2f}")
    for percent in (50, 90, 99, 100):
        pair = run.percentile_ms(percent), percentile(latencies, percent) * 1000
        result.add_row(f"latency, p{percent}" if percent < 100 else "latency, worst", *map(milliseconds, pair))
    result.add_row("requests", str(run.trace.requests.sum()), str(len(seen.statuses)))
    result.add_row("failed", f"{run.failed:.0f}", str(seen.failed))
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, measure, compare; write bench/results/autoscale_real.json."""
    parser = argparse.ArgumentParser(prog="python -m bench.autoscale_real", description=__doc__)
    parser.add_argument("--plot", type=Path, help="draw autoscale-real.png into this folder")
    options = parser.parse_args(arguments)
    tokenizer = pull(Catalog.load().find(REFERENCE), allow_synthetic=False).tokenizer
    assert tokenizer
    machine, known = describe(), service(tokenizer)
    trace = step(LOW * known.capacity, HIGH * known.capacity, SECONDS, SEED)
    run = simulate(trace, known, document(0)["applications"][1]["deployments"][0]["autoscaling_config"])
    seen = measure(trace, tokenizer)
    Console(file=sys.stdout, width=100).print(compared(run, seen))
    print(f"{LOW * known.capacity:.0f} to {HIGH * known.capacity:.0f} requests/s of {TOKENS} tokens; {machine}")
    results = ROOT / "bench" / "results"
    results.mkdir(exist_ok=True)
    found = {"machine": machine, "replicas": seen.replicas, "latencies": seen.latencies, "failed": seen.failed}
    (results / "autoscale_real.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
    if options.plot:
        from bench.autoscale_plot import draw_beside

        draw_beside(run, seen.serving(trace.seconds), seen.worst(trace.seconds), options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())

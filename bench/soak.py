"""Minutes of steady load with swaps and bad input: ``python -m bench.soak``. Does memory grow, does it get slower?

The text model is asked at a part of the rate that its slower artifact sustains. Each minute brings the same: new
texts, two swaps, damaged requests, requests cut off. The cache is small and full before the first minute, so that what
grows is a leak.
"""

from __future__ import annotations

import argparse
import itertools
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import httpx2
import numpy as np
import yaml

from bench.open_loop import OpenLoad, OpenResult
from bench.overload import run_open
from bench.swap import VERSIONS, service
from deployments.cluster.local_ray import ServeApi
from deployments.cluster.serve_file import ServeConfig
from models.catalog.catalog import ROOT, Catalog
from models.catalog.store import pull
from tests.faults.footprint import footprints
from tests.faults.mutate import bodies
from tests.integration.service import Service

RESULTS = ROOT / "bench" / "results"
TOKENS = 13
PART = 0.7
STEPS = (
    1000,
    800,
    640,
    500,
    400,
    320,
    260,
    210,
    170,
    130,
    100,
    75,
    55,
    40,
    25,
    15,
)  # requests per second that are tried, from the top
STEP_S = 6.0
KEPT, IN_TIME = 0.995, 0.97  # of requests answered, and of those before the last arrives, for a rate to be sustained
MINUTE_S = 60.0
SWAP_EVERY_S = 30.0
BAD_PER_S = 5.0
SAMPLE_S = 5.0
CACHE_BYTES = 4 << 20  # full after 2,000 texts
P99_RATIO = 1.2  # of the last minute over the first, at most


@dataclass(frozen=True)
class Minute:
    """What the clients saw of a minute, and what the serving processes held at its end."""

    number: int
    statuses: dict[str, int]
    p50_ms: float
    p99_ms: float
    resident_mb: dict[str, float]


@dataclass(frozen=True)
class Soak:
    """The whole run."""

    rate: float  # requests per second
    sustained: float
    minutes: list[Minute]
    swaps: int
    bad: dict[str, int]  # statuses of damaged requests
    slopes_mb_per_h: dict[str, float]  # of each serving process, and of all together

    @property
    def p99_ratio(self) -> float:
        """The last minute over the first."""
        return self.minutes[-1].p99_ms / self.minutes[0].p99_ms


class Trouble:
    """Swaps, damaged requests and requests cut off, until the block ends."""

    def __init__(self, running: Service, api: ServeApi, document: dict[str, Any]) -> None:
        """Nothing happens yet."""
        self.swaps = 0
        self.bad: dict[str, int] = {}
        self._service, self._api, self._document = running, api, document
        self._end = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._swap, self._send)]

    def __enter__(self) -> Trouble:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _swap(self) -> None:
        for target in itertools.cycle((VERSIONS[1], VERSIONS[0])):
            if self._end.wait(SWAP_EVERY_S):
                return
            self._document["applications"][1]["deployments"][0]["user_config"] = {"artifact": target}
            self._api.deploy(ServeConfig(self._document))
            self.swaps += 1

    def _send(self) -> None:
        with httpx2.Client(base_url=self._service.url, timeout=60, trust_env=False) as client:
            for number, (path, body) in enumerate(bodies(1, sys.maxsize)):
                if self._end.wait(1 / BAD_PER_S):
                    return
                if number % 5 == 0:
                    with socket.create_connection(("127.0.0.1", self._service.port), timeout=30) as half:
                        half.sendall(b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
                    continue
                status = str(client.post(path, content=body, headers={"content-type": "application/json"}).status_code)
                self.bad[status] = self.bad.get(status, 0) + 1


class Sampler:
    """Resident memory of the serving processes, every few seconds."""

    def __init__(self, running: Service) -> None:
        """Nothing is looked at yet."""
        self.samples: list[tuple[float, dict[str, float]]] = []
        self._service = running
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(SAMPLE_S):
            self.samples.append((time.monotonic(), self.now()))

    def now(self) -> dict[str, float]:
        """Megabytes by process, and of all."""
        held = {f"{one.title} {pid}": one.resident_mb for pid, one in footprints(self._service).items()}
        return {**held, "all": sum(held.values())}

    def slopes(self) -> dict[str, float]:
        """Megabytes per hour of the processes that were there all the time, by least squares."""
        times = np.array([at for at, _ in self.samples])
        names = set.intersection(*(set(held) for _, held in self.samples))
        return {
            name: float(np.polyfit(times - times[0], [held[name] for _, held in self.samples], 1)[0]) * 3600
            for name in sorted(names)
        }


def soak(minutes: int) -> Soak:
    """Start the service, find its rate, and keep it busy."""
    document = yaml.safe_load((ROOT / "serve_config.yaml").read_text(encoding="utf-8"))
    document["applications"] = document["applications"][:2]
    config = document["applications"][0]["deployments"][0]["user_config"]
    del config["models"]["image-embedding"]
    config.update(aliases={}, cache={"bytes": CACHE_BYTES})
    for app in document["applications"]:
        app["deployments"][0]["autoscaling_config"].update(min_replicas=1, max_replicas=1)
    for version in VERSIONS:
        pull(Catalog.load().find(version), allow_synthetic=True)
    with _numbers() as ask, service(document) as (running, api):
        sustained = _sustained(ask, running)
        rate = sustained * PART
        with Trouble(running, api, document) as trouble:
            ask(running, rate, MINUTE_S)  # the cache fills, both artifacts were loaded once
            with Sampler(running) as sampler:
                done = [_minute(n, ask(running, rate, MINUTE_S), sampler) for n in range(1, minutes + 1)]
        return Soak(rate, sustained, done, trouble.swaps, trouble.bad, sampler.slopes())


def _minute(number: int, result: OpenResult, sampler: Sampler) -> Minute:
    minute = Minute(number, result.statuses, result.p50_ms, result.p99_ms, sampler.now())
    print(
        f"minute {number}: {result.statuses}, p50 {result.p50_ms:.1f} ms, p99 {result.p99_ms:.1f} ms, "
        f"{minute.resident_mb['all']:.0f} MB",
        flush=True,
    )
    return minute


@contextmanager
def _numbers() -> Iterator[Any]:
    """Asks at a rate, each time with texts that were not asked before."""
    tokenizer = Catalog.load().find(VERSIONS[0]).graph.with_suffix(".tokenizer.json")
    first = itertools.count(0, 10_000_000)

    def ask(running: Service, rate: float, seconds: float) -> OpenResult:
        path, model = "/v1/embeddings", "text-embedding"
        return run_open(OpenLoad(running.port, path, model, str(tokenizer), TOKENS, rate, seconds, next(first)))

    yield ask


def _sustained(ask: Any, running: Service) -> float:
    """The highest rate that is answered without losses and in time."""
    ask(running, STEPS[-1], STEP_S)
    for rate in STEPS:
        result: OpenResult = ask(running, rate, STEP_S)
        good = result.statuses.get("200", 0) >= KEPT * result.sent
        if good and result.goodput * result.seconds >= IN_TIME * result.sent:
            return rate
    raise RuntimeError(f"not even {STEPS[-1]} requests per second are sustained")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write JSON; the exit status says whether the bars are held."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=int, default=10)
    minutes = parser.parse_args(arguments).minutes
    result = soak(minutes)
    bad = sum(sum(n for status, n in minute.statuses.items() if status != "200") for minute in result.minutes)
    print(
        f"\n{result.rate:.0f} requests/s, {PART:.0%} of the sustained {result.sustained:.0f}; {result.swaps} swaps; "
        f"damaged requests: {result.bad}; good requests that failed: {bad}\n"
        f"p99 of the last minute over the first: {result.p99_ratio:.2f} (at most {P99_RATIO})"
    )
    for name, slope in result.slopes_mb_per_h.items():
        print(f"{name}: {slope:+.1f} MB/h")
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-soak.json"
    path.write_text(json.dumps({**asdict(result), "p99_ratio": result.p99_ratio}, indent=1), encoding="utf-8")
    print(f"written: {path}", file=sys.stderr)
    return int(bad > 0 or result.p99_ratio > P99_RATIO)


if __name__ == "__main__":
    sys.exit(main())

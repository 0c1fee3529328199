"""Minutes of steady load with swaps and bad input: ``python -m bench.soak``. Does memory grow, does it get slower?

Requests come at 70 % of the highest rate that the text model sustains. Every minute brings the same: new texts, two
swaps, damaged requests, requests that are cut off. The cache is small and full before the first minute, so that growth
is a leak.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.loads import open_loop
from bench.loads.open_loop import OpenLoad, OpenResult
from bench.report.folder import result_path
from bench.soak.sampler import Sampler
from bench.soak.trouble import Trouble
from bench.systems.ours import one_replica, shipped, text_tokenizer
from bench.systems.running import TEXT_VERSIONS, running
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from tests.integration.service import Service

TOKENS = 13
PART = 0.7
# Requests per second that are tried, from the highest on.
STEPS = (1000, 800, 640, 500, 400, 320, 260, 210, 170, 130, 100, 75, 55, 40, 25, 15)
STEP_S = 6.0
KEPT, IN_TIME = 0.995, 0.97  # of requests answered, and of those before the last arrives, for a rate to be sustained
MINUTE_S = 60.0
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


class Clients:
    """An open loop whose texts are new in every call."""

    def __init__(self, service: Service) -> None:
        """Nothing is asked yet."""
        self._service = service
        self._tokenizer = str(text_tokenizer())
        self._first = itertools.count(0, 10_000_000)

    def ask(self, rate: float, seconds: float) -> OpenResult:
        """Ask at a rate for some seconds."""
        path, model = "/v1/embeddings", "text-embedding"
        load = OpenLoad(self._service.port, path, model, self._tokenizer, TOKENS, rate, seconds, next(self._first))
        return open_loop.run(load)


def soak(minutes: int) -> Soak:
    """Start the service, find its rate, and keep it busy."""
    document = shipped()
    document["applications"] = document["applications"][:2]
    config = document["applications"][0]["deployments"][0]["user_config"]
    del config["models"]["image-embedding"]
    config.update(aliases={}, cache={"bytes": CACHE_BYTES})
    one_replica(document)
    for version in TEXT_VERSIONS:
        pull(Catalog.load().find(version), allow_synthetic=True)
    with running(document) as (service, api):
        clients = Clients(service)
        sustained = _sustained(clients)
        rate = sustained * PART
        with Trouble(service, api, document) as trouble:
            clients.ask(rate, MINUTE_S)  # fills the cache and loads each artifact once
            with Sampler(service) as sampler:
                done = [_minute(n, clients.ask(rate, MINUTE_S), sampler) for n in range(1, minutes + 1)]
        return Soak(rate, sustained, done, trouble.swaps, trouble.bad, sampler.slopes())


def _minute(number: int, result: OpenResult, sampler: Sampler) -> Minute:
    minute = Minute(number, result.statuses, result.p50_ms, result.p99_ms, sampler.now())
    print(
        f"minute {number}: {result.statuses}, p50 {result.p50_ms:.1f} ms, p99 {result.p99_ms:.1f} ms, "
        f"{minute.resident_mb['all']:.0f} MB",
        flush=True,
    )
    return minute


def _sustained(clients: Clients) -> float:
    """The highest rate that is answered without losses and in time."""
    clients.ask(STEPS[-1], STEP_S)
    for rate in STEPS:
        result = clients.ask(rate, STEP_S)
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
    path = result_path("soak.json")
    path.write_text(json.dumps({**asdict(result), "p99_ratio": result.p99_ratio}, indent=1), encoding="utf-8")
    print(f"written: {path}", file=sys.stderr)
    return int(bad > 0 or result.p99_ratio > P99_RATIO)


if __name__ == "__main__":
    sys.exit(main())

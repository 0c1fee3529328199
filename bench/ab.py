"""Is this checkout faster or slower than another one? ``python -m bench.ab OTHER_CHECKOUT``.

The two services run by turns, never both at once, under the same closed loops. Each checkout needs a ``.venv`` of its own
and is driven through its command line and HTTP alone, so the other one may be of any version. Models come from each
checkout's own store, or from ``EMBEDSERVE_MODELS`` for both.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from bench import wrk
from bench.bodies import TextBody
from bench.loads import Load, chosen
from bench.machine import busy_s, describe
from bench.report import number, table
from bench.servers import Server
from bench.stats import median, ratio
from bench.texts import Texts
from deployments.cluster.local_ray import free_port
from models.catalog.catalog import ROOT, Catalog
from models.catalog.store import pull

SECONDS, WARM_S, ROUNDS = 5, 2, 5
TOKENS = 13
LOADS = (
    Load("text", 1, TOKENS, 32, ROUNDS, SECONDS),
    Load("text", 16, TOKENS, 32, ROUNDS, SECONDS),
    Load("text", 1, TOKENS, 1, ROUNDS, SECONDS),
    Load("text", 1, TOKENS, 32, ROUNDS, SECONDS, cached=True),
)
MODEL = "text-embedding"
VERSIONS = {"int8": "1.1.0", "fp32": "1.0.0"}
QUIET_CORES = 0.1  # what other processes may take while the numbers are still called quiet
START_S = 900  # the first start of a checkout may have to fetch and build its models
NUMBERS = 10_000_000  # inputs that one measurement may use up
THIS, OTHER = "this", "other"
NOT_QUIET = 3  # exit status


@dataclass(frozen=True)
class Point:
    """One load on one checkout, measured once."""

    load: str
    side: str
    rate: float  # requests per second
    p50_ms: float
    cpu_ms: float  # processor time that the service's processes took for each request
    failed: int
    others: float  # cores that everything else on the machine took meanwhile


def served(document: dict[str, Any], precisions: Sequence[str]) -> dict[str, Any]:
    """A checkout's own serve_config.yaml with the text model alone, one replica of everything.

    Args:
        document: as the checkout has it; its import paths stay.
        precisions: which versions of the model are served.
    """
    changed = copy.deepcopy(document)
    by_name = {app["name"]: app for app in changed["applications"]}
    gateway, encoder = by_name["gateway"], by_name[f"{MODEL}--1-0-0"]
    config = gateway["deployments"][0]["user_config"]
    route = config["models"][MODEL]
    route["versions"] = {VERSIONS[precision]: int(place == 0) * 100 for place, precision in enumerate(precisions)}
    config.update(models={MODEL: route}, aliases={})
    changed["applications"] = [gateway]
    for precision in precisions:
        app, reference = copy.deepcopy(encoder), f"{MODEL}@{VERSIONS[precision]}"
        app["name"], app["args"]["model"] = f"{MODEL}--{VERSIONS[precision].replace('.', '-')}", reference
        app["deployments"][0]["user_config"]["artifact"] = reference
        changed["applications"].append(app)
    for app in changed["applications"]:
        app["deployments"][0]["autoscaling_config"].update(min_replicas=1, max_replicas=1)
    return changed


class Comparison:
    """Measures both checkouts, turn by turn."""

    def __init__(
        self, other: Path, loads: Sequence[Load], precisions: Sequence[str], seconds: int, tell: Callable[[str], None]
    ) -> None:
        """Start nothing yet."""
        self.points: list[Point] = []
        self._checkouts = {THIS: ROOT, OTHER: other}
        self._loads, self._precisions, self._seconds, self._tell = loads, precisions, seconds, tell
        tokenizer = pull(Catalog.load().find(f"{MODEL}@{VERSIONS['fp32']}"), allow_synthetic=True).tokenizer
        assert tokenizer
        self._texts = Texts.of(tokenizer, TOKENS)
        self._first = itertools.count(NUMBERS, NUMBERS)  # texts that no request has used before

    def run(self, rounds: int) -> None:
        """Every round starts each service once; who goes first changes, so that drift of the machine cancels out."""
        for turn in range(rounds):
            for side in (THIS, OTHER) if turn % 2 == 0 else (OTHER, THIS):
                self._tell(f"round {turn + 1} of {rounds}, {side}: {self._checkouts[side]}")
                self.points.extend(self._turn(side))

    def _turn(self, side: str) -> Iterator[Point]:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            server = self._start(side, Path(folder))
            try:
                for precision, load in itertools.product(self._precisions, self._loads):
                    model = f"{MODEL}@{VERSIONS[precision]}"
                    body = TextBody("/v1/embeddings", model, self._texts, load.items, load.cached)
                    server.wait(body.path, body.data(next(self._first)), body.content_type, START_S)
                    yield self._measure(server, side, f"{precision}, {load.name}", load, body)
            finally:
                server.stop()

    def _start(self, side: str, folder: Path) -> Server:
        checkout, port = self._checkouts[side], free_port()
        document = yaml.safe_load((checkout / "serve_config.yaml").read_text(encoding="utf-8"))
        config = folder / "serve_config.yaml"
        config.write_text(yaml.safe_dump(served(document, self._precisions), sort_keys=False), encoding="utf-8")
        command = [str(checkout / ".venv/bin/embedserve"), "up", "--beside", "--port", str(port)]
        command += ["--config", str(config)]
        # No PYTHONPATH: Ray's workers would import this checkout's code for the other's service.
        return Server(side, command, port, folder / "log", {"PYTHONPATH": None}, checkout)

    def _measure(self, server: Server, side: str, name: str, load: Load, body: TextBody) -> Point:
        wrk.run(server.url, body, load.clients, WARM_S, next(self._first))
        server.settle()
        machine, service, begin = busy_s(), _cpu_s(server), time.monotonic()
        own = time.process_time()
        sample = wrk.run(server.url, body, load.clients, self._seconds, next(self._first))
        service, lasted = _cpu_s(server) - service, time.monotonic() - begin
        ours = service + sample.generator_cpu * sample.seconds + time.process_time() - own
        point = Point(
            name,
            side,
            sample.rate,
            sample.p50_ms,
            service / max(sample.requests, 1) * 1e3,
            sample.failed + sample.broken,
            max(busy_s() - machine - ours, 0) / lasted,
        )
        self._tell(
            f"{name}: {point.rate:.1f} requests/s, p50 {point.p50_ms:.2f} ms, {point.cpu_ms:.2f} ms of processor a "
            f"request, {point.failed} failed, others {point.others:.2f} cores"
        )
        return point


def _cpu_s(server: Server) -> float:
    return sum(server.mark.cpu_seconds().values())


def summary(points: Sequence[Point]) -> str:
    """Medians, their ratio, and the lowest and highest ratio of a round, as a Markdown table."""
    head = ["requests/s", THIS, OTHER, "ratio", "of rounds", "CPU ms/request", OTHER, "ratio", "of rounds", "failed"]
    rows = []
    for load in dict.fromkeys(point.load for point in points):
        sides = {side: [p for p in points if p.load == load and p.side == side] for side in (THIS, OTHER)}
        rates = _compared([p.rate for p in sides[THIS]], [p.rate for p in sides[OTHER]], 1)
        costs = _compared([p.cpu_ms for p in sides[THIS]], [p.cpu_ms for p in sides[OTHER]], 3)
        failed = sum(point.failed for side in sides.values() for point in side)
        rows.append([load, *rates, *costs, str(failed)])
    return table(head, rows)


def _compared(this: Sequence[float], other: Sequence[float], digits: int) -> list[str]:
    ratios = [ratio(ours, theirs) for ours, theirs in zip(this, other, strict=False)]  # the last round may be half
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}" if ratios else "–"
    medians = median(this), median(other)
    return [*(number(value, digits) for value in medians), number(ratio(*medians), 3), spread]


def quietness(points: Sequence[Point]) -> tuple[bool, str]:
    """Whether the machine was left alone while it measured, and a sentence that says so."""
    loud = [point for point in points if point.others > QUIET_CORES]
    most = max((point.others for point in points), default=0.0)
    if not loud:
        return True, f"quiet: everything else took at most {most:.2f} cores"
    return False, (
        f"NOT QUIET: everything else took more than {QUIET_CORES:g} cores in {len(loud)} of {len(points)} measurements, "
        f"{most:.2f} at most. Ratios of processor time suffer less from that than ratios of rates; better, measure again"
    )


def _commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip() or "no commit"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.ab", description=__doc__)
    parser.add_argument("other", type=Path, help="the other checkout, with its own .venv")
    names = ", ".join(load.name for load in LOADS)
    parser.add_argument("--loads", help=f"some of: {names}; separated by commas")
    parser.add_argument("--precisions", default=",".join(VERSIONS), help="some of: %(default)s")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="each starts both services once; %(default)s")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each load; %(default)s")
    options = parser.parse_args(arguments)
    if not (options.other / ".venv/bin/embedserve").is_file():
        parser.error(f"{options.other} has no .venv/bin/embedserve; run its scripts/setup.sh first")
    options.precisions = options.precisions.split(",")
    unknown = [precision for precision in options.precisions if precision not in VERSIONS]
    if unknown:
        parser.error(f"no precision is called {', '.join(unknown)}; there are: {', '.join(VERSIONS)}")
    try:
        options.loads = chosen(LOADS, options.loads) if options.loads else LOADS
    except ValueError as error:
        parser.error(str(error))
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write bench/results/*-ab.json; the exit status is 3 when the machine was not quiet."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what runs is stopped on the way out
    begin, machine, other = time.monotonic(), describe(), options.other.resolve()

    def tell(message: str) -> None:
        print(f"[{time.monotonic() - begin:6.1f} s] {message}", file=sys.stderr, flush=True)

    comparison = Comparison(other, options.loads, options.precisions, options.seconds, tell)
    try:
        comparison.run(options.rounds)
    finally:
        if comparison.points:
            _report(comparison.points, machine, {THIS: _commit(ROOT), OTHER: _commit(other)})
    return 0 if quietness(comparison.points)[0] else NOT_QUIET


def _report(points: Sequence[Point], machine: dict[str, Any], commits: dict[str, str]) -> None:
    print(f"{THIS}: {commits[THIS]}; {OTHER}: {commits[OTHER]}\n\n{summary(points)}\n\n{quietness(points)[1]}")
    print(f"{machine['cores']} cores, {machine['cpu']} ({' '.join(machine['flags'])}), Python {machine['python']}")
    results = ROOT / "bench" / "results"
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"{time.strftime('%Y%m%d-%H%M%S')}-ab.json"
    document = {"machine": machine, "commits": commits, "points": [asdict(point) for point in points]}
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(f"written: {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

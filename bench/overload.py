"""More than the service can do, at a constant rate: what it still answers, how fast, and how it refuses the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

from bench.loads import Plan
from bench.open_loop import OpenLoad, OpenResult
from bench.runner import Bench, Tell
from bench.systems import Target

STEPS = (1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)  # of the closed loop's rate
KEPT = 0.99  # of requests answered well, for a rate to count as sustained
IN_TIME = 0.95  # of requests answered before the last arrives
PATIENCE = 10.0  # a sustained rate's p99 over the unloaded one: above it a queue is growing
UNLOADED = 0.1  # of the sustainable rate
FACTOR = 4
MARGIN_S = 120


@dataclass(frozen=True)
class Overload:
    """The scenario on one target."""

    target: str
    sustainable: float  # requests per second
    most: float  # the best goodput of all steps
    unloaded: OpenResult
    steps: list[tuple[float, OpenResult]]
    overload: OpenResult

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def run_open(load: OpenLoad) -> OpenResult:
    """Run the generator as a process of its own."""
    command = [sys.executable, "-m", "bench.open_loop"]
    answer = subprocess.run(
        command,
        check=False,
        input=json.dumps(asdict(load)),
        capture_output=True,
        text=True,
        timeout=load.seconds + MARGIN_S,
    )
    if answer.returncode:
        raise RuntimeError(f"the open-loop generator failed: {answer.stderr[-1000:]}")
    return OpenResult(**json.loads(answer.stdout))


def measure(bench: Bench, target: Target, closed_rate: float, plan: Plan, tell: Tell) -> Overload:
    """Search the sustainable rate downwards from the closed loop's, then ask for four times as much."""
    server = bench.servers[target.system]

    def at(rate: float, seconds: float) -> OpenResult:
        tell(f"open loop, {target.name}: {rate:.0f} requests/s for {seconds:g} s")
        load = OpenLoad(server.port, target.path, target.model, str(bench.tokenizer), 13, rate, seconds, bench.first())
        return run_open(load)

    server.thaw()
    server.settle()
    try:
        unloaded = at(max(5.0, closed_rate * UNLOADED), plan.unloaded_s)
        steps: list[tuple[float, OpenResult]] = []
        for step in STEPS:
            result = at(closed_rate * step, plan.search_s)
            steps.append((closed_rate * step, result))
            server.settle()
            if sustained(result, unloaded):
                break
        sustainable = steps[-1][0]
        overload = at(sustainable * FACTOR, plan.overload_s)
    finally:
        server.freeze()
    most = max(result.goodput for _, result in steps)
    return Overload(target.name, sustainable, most, unloaded, steps, overload)


def sustained(result: OpenResult, unloaded: OpenResult) -> bool:
    """Whether a rate was answered without losses and without a queue that grows."""
    good = result.statuses.get("200", 0)
    in_time = result.goodput * result.seconds
    fast = result.p99_ms <= PATIENCE * unloaded.p99_ms
    return good >= KEPT * result.sent and in_time >= IN_TIME * result.sent and fast

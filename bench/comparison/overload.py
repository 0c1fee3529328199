"""More requests than the service can answer: what it answers, how fast, and how it refuses the rest."""

from __future__ import annotations

from bench.comparison.runner import Bench, Tell
from bench.loads import open_loop
from bench.loads.load import Plan
from bench.loads.open_loop import OpenLoad, OpenResult
from bench.report.results import Overload
from bench.systems.targets import Target

STEPS = (1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)  # of the closed loop's rate
KEPT = 0.99  # of requests answered well, for a rate to count as sustained
IN_TIME = 0.95  # of requests answered before the last arrives
PATIENCE = 10.0  # p99 over the unloaded p99, at most; a higher one says that a queue grows
UNLOADED = 0.1  # of the closed loop's rate
FACTOR = 4  # of the sustainable rate


def measure(bench: Bench, target: Target, closed_rate: float, plan: Plan, tell: Tell) -> Overload:
    """Search the sustainable rate downwards from the closed loop's rate, then send four times as many requests."""
    server = bench.servers[target.system]

    def at(rate: float, seconds: float) -> OpenResult:
        tell(f"open loop, {target.name}: {rate:.0f} requests/s for {seconds:g} s")
        load = OpenLoad(server.port, target.path, target.model, str(bench.tokenizer), 13, rate, seconds, bench.first())
        return open_loop.run(load)

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
    """Whether a rate was answered completely, in time and without a growing queue."""
    good = result.statuses.get("200", 0)
    in_time = result.goodput * result.seconds
    fast = result.p99_ms <= PATIENCE * unloaded.p99_ms
    return good >= KEPT * result.sent and in_time >= IN_TIME * result.sent and fast

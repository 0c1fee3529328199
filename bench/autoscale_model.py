"""A fleet of replicas under the autoscaler, second by second: our policy's own code, Serve's own delays, and a queue.

Work is a fluid: what arrives in a second is spread over the replicas that serve, in calls as large as gateways make
them. What is measured is how long a call takes (``bench/service_times.json``); what is modelled is stated here.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict, dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.serve._private.common import TimeStampedValue
from ray.serve.autoscaling_policy import _apply_delay_logic
from ray.serve.config import AutoscalingConfig

from bench.traces import Trace
from deployments.autoscaling.law import Report
from deployments.autoscaling.policies import POLICIES

CALLS_IN_FLIGHT = 2  # Queue.calls_per_replica
DEADLINE_S = 30.0  # Queue.timeout_s


@dataclass(frozen=True)
class Service:
    """One replica: a call of cost c takes ``call_s + c * cost_s``. Costs are tokens or pictures."""

    name: str
    call_s: float
    cost_s: float
    request_cost: float
    call_cost: float  # of the largest call that gateways make
    start_s: float  # from the decision until the new replica serves
    queue_cost: float  # of what may wait; above it gateways refuse
    queue_s: float  # of work that may wait, at the speed of the replicas that serve; infinite: only the cost counts

    @property
    def speed(self) -> float:
        """Cost per second in full calls."""
        return self.call_cost / (self.call_s + self.call_cost * self.cost_s)

    @property
    def capacity(self) -> float:
        """Requests per second in full calls."""
        return self.speed / self.request_cost

    def calls(self, cost_per_s: float) -> tuple[float, float]:
        """How busy a replica without a queue is, and how long its calls take.

        A call takes along what arrived during the one before it: x = cost_per_s * (call_s + x * cost_s).
        """
        idle_share = 1 - cost_per_s * self.cost_s
        size = cost_per_s * self.call_s / idle_share if idle_share > 0 else self.call_cost
        size = min(max(size, self.request_cost), self.call_cost)
        seconds = self.call_s + size * self.cost_s
        return min(cost_per_s / size * seconds, 1.0), seconds


@dataclass
class Run:
    """What happened, second by second."""

    trace: Trace
    service: Service
    serving: NDArray[np.int64]
    target: NDArray[np.int64]
    queue_s: NDArray[np.float64]  # seconds until what waits is done
    latency_s: NDArray[np.float64]  # of what arrived in each second
    refused: NDArray[np.float64]  # requests

    @property
    def changes(self) -> int:
        """How often the number aimed for changed."""
        return int(np.count_nonzero(np.diff(self.target)))

    @property
    def failed(self) -> float:
        """Requests that were refused, or whose deadline passed."""
        return float(self.refused.sum() + self.trace.requests[self.latency_s > DEADLINE_S].sum())

    def percentile_ms(self, percent: float) -> float:
        """Of latencies, each second weighted by its requests."""
        order = np.argsort(self.latency_s)
        weights = np.cumsum(self.trace.requests[order])
        place = min(int(np.searchsorted(weights, weights[-1] * percent / 100)), len(order) - 1)
        return float(self.latency_s[order][place] * 1000)


@dataclass
class _Reports:
    """What replicas told the controller: means of a reporting interval, which arrive an interval later."""

    interval_s: int
    told: deque[tuple[int, Report]] = field(default_factory=deque)
    busy: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    known: tuple[int, Report] | None = None

    def note(self, now: int, report: Report) -> None:
        self.busy.append(report.busy)
        self.refused.append(report.refused)
        if now % self.interval_s == 0:
            means = {
                name: sum(values) / len(values) for name, values in (("busy", self.busy), ("refused", self.refused))
            }
            self.told.append((now, replace(report, **means)))
            self.busy.clear()
            self.refused.clear()
        while self.told and self.told[0][0] <= now - self.interval_s:
            self.known = self.told.popleft()


class Autoscaler:
    """The policy as Serve runs it, on a clock of our own."""

    def __init__(self, config: dict[str, Any]) -> None:
        """Take a deployment's ``autoscaling_config``."""
        self.config = AutoscalingConfig.model_validate(config)
        self._policy = POLICIES[config["policy"]["policy_function"]](**config["policy"].get("policy_kwargs", {}))
        self._delays: dict[str, Any] = {}

    def decide(self, now: int, target: int, reports: _Reports, serving: int) -> int:
        """The number of replicas to aim for from now on."""
        series: dict[str, dict[int, list[TimeStampedValue]]] = {}
        if reports.known is not None:
            time, report = reports.known
            for name, value in asdict(report).items():
                series[name] = {replica: [TimeStampedValue(time, value)] for replica in range(serving)}
        context = SimpleNamespace(
            deployment_id="simulated",
            current_num_replicas=serving,
            target_num_replicas=target,
            raw_metrics=series,
            current_time=float(now),
            config=self.config,
        )
        wanted, _ = self._policy(context)
        decided, self._delays = _apply_delay_logic(wanted, target, self.config, self._delays, _now=float(now))
        return max(self.config.min_replicas, min(self.config.max_replicas, decided))


def simulate(trace: Trace, service: Service, scaling: dict[str, Any]) -> Run:
    """Replay a trace.

    Args:
        trace: what arrives.
        service: how replicas work.
        scaling: a deployment's ``autoscaling_config``, as in serve_config.yaml.
    """
    autoscaler = Autoscaler(scaling)
    reports = _Reports(max(1, round(autoscaler.config.metrics_interval_s)))
    serving = target = max(autoscaler.config.min_replicas, 1)
    starting: deque[float] = deque()
    queue = 0.0
    rows = []
    for now, requests in enumerate(trace.requests.tolist()):
        while starting and starting[0] <= now:
            starting.popleft()
            serving += 1
        arrived = requests * service.request_cost
        may_wait = min(service.queue_cost, service.queue_s * serving * service.speed) if serving else service.queue_cost
        refused = max(0.0, queue + arrived - may_wait - serving * service.speed)
        served = min(queue + arrived - refused, serving * service.speed)
        queue += arrived - refused - served
        rows.append((serving, target, queue, arrived - refused, served, refused / service.request_cost))
        if serving:
            reports.note(now, _report(service, serving, served, queue, refused))
        target = autoscaler.decide(now, target, reports, serving) if serving or not queue else max(target, 1)
        while serving + len(starting) < target:
            starting.append(now + service.start_s)
        while serving + len(starting) > target:
            if starting:
                starting.pop()
            else:
                serving -= 1
    return _run(trace, service, np.array(rows, float))


def _report(service: Service, serving: int, served: float, queue: float, refused: float) -> Report:
    each = served / serving
    busy, call_s = (1.0, service.call_s + service.call_cost * service.cost_s) if queue else service.calls(each)
    held = min(queue / serving, CALLS_IN_FLIGHT * service.call_cost)
    per_cost = busy / each if each else 0.0
    held_s = held * per_cost if queue else busy * call_s
    return Report(busy, refused / serving * per_cost, held_s, (queue - held * serving) * per_cost)


def _run(trace: Trace, service: Service, rows: NDArray[np.float64]) -> Run:
    serving, target, queue, accepted, served, refused = rows.T
    seconds = np.arange(1, len(rows) + 1)
    arrivals, departures = np.cumsum(accepted), np.cumsum(served)
    done = _when(departures, arrivals)  # when the last that arrived in each second is done
    serving = serving.clip(1)  # nobody serves: seconds are those of the first who will
    calls = [service.calls(rate)[1] for rate in served / serving]
    return Run(
        trace=trace,
        service=service,
        serving=rows[:, 0].astype(int),
        target=target.astype(int),
        queue_s=queue / (serving * service.speed),
        latency_s=np.maximum(done - seconds, 0) + 1.5 * np.array(calls),  # half a call until one's own begins
        refused=refused,
    )


def _when(departures: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first moment, in seconds, at which so much has left; what has not left by then leaves with the last."""
    counts = np.minimum(counts * (1 - 1e-12), departures[-1])
    late = np.searchsorted(departures, counts)
    before = np.where(late > 0, departures[late - 1], 0.0)
    moments: NDArray[np.float64] = late + (counts - before) / np.maximum(departures[late] - before, 1e-12)
    return moments


def needed(trace: Trace, service: Service, utilisation: float) -> NDArray[np.float64]:
    """Replicas that a clairvoyant would run: this utilisation in full calls, each minute."""
    minutes = np.convolve(trace.requests, np.full(60, 1 / 60), "same")
    return np.ceil(minutes / service.capacity / utilisation).clip(1)


def seconds_until_enough(run: Run, since: int) -> float:
    """From ``since`` until as many replicas serve as then arrives, in seconds; infinite when never."""
    enough = run.trace.requests[since + 10] / run.service.capacity
    late = np.nonzero(run.serving[since:] >= enough)[0]
    return float(late[0]) if len(late) else math.inf

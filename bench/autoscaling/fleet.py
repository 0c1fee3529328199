"""A fleet of replicas and its queue under the autoscaler, second by second.

Work is modelled as a fluid: what arrives in a second is spread evenly over the replicas that serve, in calls as large
as gateways make them. How long a call takes was measured (``service_times.json``); everything else is modelled here.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.autoscaling.autoscaler import Autoscaler, Reports
from bench.autoscaling.traces import Trace
from deployments.autoscaling.core_budget import CoreBudget
from deployments.autoscaling.law import Report

CALLS_IN_FLIGHT = 2  # the default of queue.calls_per_replica
DEADLINE_S = 30.0  # the default of queue.timeout_s


@dataclass(frozen=True)
class Service:
    """One replica: a call of cost c takes ``call_s + c * cost_s``. Costs are tokens or pictures."""

    name: str
    call_s: float
    cost_s: float
    request_cost: float
    call_cost: float  # cost of the largest call that gateways make
    start_s: float  # from the decision until the new replica serves
    queue_cost: float  # cost that may wait; gateways refuse what comes beyond it
    queue_s: float  # seconds of work that may wait, at the speed of the serving replicas; infinite without this limit

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

        A call of cost x holds what arrived during the call before it: x = cost_per_s * (call_s + x * cost_s).
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
    serving: NDArray[np.int64]  # replicas
    target: NDArray[np.int64]  # replicas that the autoscaler wants
    queue_s: NDArray[np.float64]  # seconds of work that wait
    latency_s: NDArray[np.float64]  # of what arrived in each second
    refused: NDArray[np.float64]  # requests

    @property
    def changes(self) -> int:
        """How often the wanted number of replicas changed."""
        return int(np.count_nonzero(np.diff(self.target)))

    @property
    def failed(self) -> float:
        """Requests that were refused, or whose deadline passed."""
        return float(self.refused.sum() + self.trace.requests[self.latency_s > DEADLINE_S].sum())

    def percentile_ms(self, percent: float) -> float:
        """A percentile of the latencies; each second counts with its requests."""
        order = np.argsort(self.latency_s)
        weights = np.cumsum(self.trace.requests[order])
        place = min(int(np.searchsorted(weights, weights[-1] * percent / 100)), len(order) - 1)
        return float(self.latency_s[order][place] * 1000)


class _Version:
    """The replicas and the queue of one service."""

    def __init__(
        self, number: int, trace: Trace, service: Service, scaling: dict[str, Any], budget: CoreBudget
    ) -> None:
        self.trace, self.service = trace, service
        self._autoscaler = Autoscaler(scaling, f"{service.name} {number}", budget)
        self._reports = Reports(max(1, round(self._autoscaler.config.metrics_interval_s)))
        self._serving = self._target = max(self._autoscaler.config.min_replicas, 1)
        self._starting: deque[float] = deque()
        self._queue = 0.0
        self.rows: list[tuple[float, ...]] = []

    def working(self, now: int) -> float:
        """How many cores its replicas would keep busy in this second; those that are ready by now serve from now on."""
        while self._starting and self._starting[0] <= now:
            self._starting.popleft()
            self._serving += 1
        arrived = self.trace.requests[now] * self.service.request_cost
        return float(min((self._queue + arrived) / self.service.speed, self._serving))

    def pass_second(self, now: int, part: float) -> None:
        """Let a second pass in which each replica has ``part`` of a core."""
        service, serving, speed = self.service, self._serving, self._serving * self.service.speed * part
        arrived = float(self.trace.requests[now]) * service.request_cost
        may_wait = min(service.queue_cost, service.queue_s * speed) if serving else service.queue_cost
        refused = max(0.0, self._queue + arrived - may_wait - speed)
        served = min(self._queue + arrived - refused, speed)
        self._queue += arrived - refused - served
        self.rows.append(
            (serving, self._target, self._queue, arrived - refused, served, refused / service.request_cost)
        )
        if serving:
            self._reports.note(now, _report(service, serving, served, self._queue, refused))
        self._scale(now)

    def _scale(self, now: int) -> None:
        asked = self._serving or not self._queue
        decided = self._autoscaler.decide(now, self._target, self._reports, self._serving) if asked else 1
        self._target = decided if asked else max(self._target, decided)
        while self._serving + len(self._starting) < self._target:
            self._starting.append(now + self.service.start_s)
        while self._serving + len(self._starting) > self._target:
            if self._starting:
                self._starting.pop()
            else:
                self._serving -= 1


def simulate(trace: Trace, service: Service, scaling: dict[str, Any]) -> Run:
    """Replay a trace against one service, each of whose replicas has a core of its own.

    Args:
        trace: what arrives.
        service: how replicas work.
        scaling: a deployment's ``autoscaling_config``, as in serve_config.yaml.
    """
    return simulate_machine([(trace, service, scaling)], None)[0]


def simulate_machine(loads: Sequence[tuple[Trace, Service, dict[str, Any]]], cores: int | None) -> list[Run]:
    """Replay a trace of equal length against each of several services.

    Args:
        loads: for each service what arrives, how its replicas work, and how they scale.
        cores: that all of them share, and slow each other down on; None: as many as there are replicas.
    """
    budget = CoreBudget(cores)
    versions = [_Version(number, *load, budget) for number, load in enumerate(loads)]
    for now in range(versions[0].trace.seconds):
        working = sum([version.working(now) for version in versions])
        for version in versions:
            version.pass_second(now, 1.0 if cores is None else min(1.0, cores / max(working, 1e-9)))
    return [_run(version.trace, version.service, np.array(version.rows, float)) for version in versions]


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
    done = _when(departures, arrivals)  # when the last arrival of each second is answered
    serving = serving.clip(1)  # without a replica, seconds of work are those of the first one that will serve
    calls = [service.calls(rate)[1] for rate in served / serving]
    return Run(
        trace=trace,
        service=service,
        serving=rows[:, 0].astype(int),
        target=target.astype(int),
        queue_s=queue / (serving * service.speed),
        latency_s=np.maximum(done - seconds, 0)
        + 1.5 * np.array(calls),  # half a call passes on average until the next one begins
        refused=refused,
    )


def _when(departures: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """When the cumulative departures reach each count, in seconds; a count that is never reached: at the end."""
    counts = np.minimum(counts * (1 - 1e-12), departures[-1])
    late = np.searchsorted(departures, counts)
    before = np.where(late > 0, departures[late - 1], 0.0)
    moments: NDArray[np.float64] = late + (counts - before) / np.maximum(departures[late] - before, 1e-12)
    return moments


def needed(trace: Trace, service: Service, utilisation: float) -> NDArray[np.float64]:
    """Replicas by second for somebody who knows the traffic: each minute's mean, in full calls, at this utilisation."""
    minutes = np.convolve(trace.requests, np.full(60, 1 / 60), "same")
    return np.ceil(minutes / service.capacity / utilisation).clip(1)


def seconds_until_enough(run: Run, since: int) -> float:
    """From ``since`` until the replicas suffice for the traffic of ten seconds later; infinite if they never do."""
    enough = run.trace.requests[since + 10] / run.service.capacity
    late = np.nonzero(run.serving[since:] >= enough)[0]
    return float(late[0]) if len(late) else math.inf

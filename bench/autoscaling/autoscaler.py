"""The shipped policies as Serve runs them, on a simulated clock.

Serve's code for delays is private to Ray and imported here alone: a copy of it could differ from what a cluster does.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from ray.serve._private.common import TimeStampedValue
from ray.serve.autoscaling_policy import _apply_delay_logic
from ray.serve.config import AutoscalingConfig

from deployments.autoscaling.core_budget import CoreBudget
from deployments.autoscaling.law import Report
from deployments.autoscaling.policies import POLICIES


@dataclass
class Reports:
    """What replicas reported: means over a reporting interval, which the controller knows an interval later."""

    interval_s: int
    sent: deque[tuple[int, Report]] = field(default_factory=deque)
    busy: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    arrived: tuple[int, Report] | None = None

    def note(self, now: int, report: Report) -> None:
        """Take what the replicas do in the second ``now``."""
        self.busy.append(report.busy)
        self.refused.append(report.refused)
        if now % self.interval_s == 0:
            means = {
                name: sum(values) / len(values) for name, values in (("busy", self.busy), ("refused", self.refused))
            }
            self.sent.append((now, replace(report, **means)))
            self.busy.clear()
            self.refused.clear()
        while self.sent and self.sent[0][0] <= now - self.interval_s:
            self.arrived = self.sent.popleft()


class Autoscaler:
    """One deployment's policy with Serve's delays."""

    def __init__(self, config: dict[str, Any], name: str = "simulated", budget: CoreBudget | None = None) -> None:
        """Take a deployment's ``autoscaling_config``, its name, and the cores that it shares with others."""
        self.config = AutoscalingConfig.model_validate(config)
        self._policy = POLICIES[config["policy"]["policy_function"]](**config["policy"].get("policy_kwargs", {}))
        self._policy.budget = budget or CoreBudget(None)
        self._name = name
        self._delays: dict[str, Any] = {}

    def decide(self, now: int, target: int, reports: Reports, serving: int) -> int:
        """How many replicas Serve would want from now on."""
        series: dict[str, dict[int, list[TimeStampedValue]]] = {}
        if reports.arrived is not None:
            time, report = reports.arrived
            for name, value in asdict(report).items():
                series[name] = {replica: [TimeStampedValue(time, value)] for replica in range(serving)}
        context = SimpleNamespace(
            deployment_id=self._name,
            current_num_replicas=serving,
            target_num_replicas=target,
            raw_metrics=series,
            current_time=float(now),
            config=self.config,
        )
        wanted, _ = self._policy(context)
        decided, self._delays = _apply_delay_logic(wanted, target, self.config, self._delays, _now=float(now))
        return max(self.config.min_replicas, min(self.config.max_replicas, decided))

"""The policies inside Serve's own autoscaling state: its pickling, its contexts, its delays and bounds."""

from __future__ import annotations

from typing import Any

import pytest
from ray.serve._private.autoscaling_state import _resolve_policy_callable
from ray.serve._private.common import DeploymentID, ReplicaID, TimeStampedValue
from ray.serve.config import AutoscalingConfig, AutoscalingContext

from deployments.autoscaling import core_budget
from deployments.autoscaling.policies import POLICIES
from models.errors import ConfigError

DEPLOYMENT = DeploymentID("TextEncoder", "text-embedding--1-0-0")
TEXT = "deployments.autoscaling.policies:TextPolicy"


def policy(name: str = TEXT, **kwargs: float) -> Any:
    """A policy as the controller gets it: pickled when the application was built."""
    config = AutoscalingConfig.model_validate(
        {"max_replicas": 8, "policy": {"policy_function": name, "policy_kwargs": kwargs}, "look_back_period_s": 30}
    )
    return _resolve_policy_callable(config.policy)


def context(
    *reports: dict[str, float] | None, target: int | None = None, now: float = 1000.0, age: float = 1.0
) -> AutoscalingContext:
    """What Serve tells a policy; ``None`` is a replica that has not reported."""
    replicas = [ReplicaID(str(i), DEPLOYMENT) for i in range(len(reports))]
    metrics: dict[str, dict[ReplicaID, list[TimeStampedValue]]] = {}
    for replica, report in zip(replicas, reports, strict=True):
        for key, value in (report or {}).items():
            metrics.setdefault(key, {})[replica] = [
                TimeStampedValue(now - age - 2, 0),
                TimeStampedValue(now - age, value),
            ]
    return AutoscalingContext(
        deployment_id=DEPLOYMENT,
        deployment_name=DEPLOYMENT.name,
        app_name=DEPLOYMENT.app_name,
        current_num_replicas=len(replicas),
        target_num_replicas=len(replicas) if target is None else target,
        running_replicas=replicas,
        total_num_requests=0,
        total_queued_requests=0,
        aggregated_metrics=None,
        raw_metrics=metrics,
        capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=8,
        policy_state={},
        last_scale_up_time=None,
        last_scale_down_time=None,
        current_time=now,
        config=AutoscalingConfig(look_back_period_s=30),
    )


BUSY = {"busy": 1.0, "held_s": 1.0, "waiting_s": 4.0}
IDLE = {"busy": 0.0, "held_s": 0.0, "waiting_s": 0.0}


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_survives_serves_pickling_and_keeps_what_is_enough(name: str) -> None:
    decision, state = policy(name)(context({"busy": 0.5}))
    assert (decision, state) == (1, {})


def test_a_busy_replica_with_a_queue_gets_company() -> None:
    assert policy()(context(BUSY))[0] == 3  # 1 / 0.7 + (1 + 4) / 5 = 2.4


def test_gateways_grow_by_their_processor_alone() -> None:
    assert policy("deployments.autoscaling.policies:GatewayPolicy")(context({"busy": 0.5}))[0] == 1
    assert policy("deployments.autoscaling.policies:GatewayPolicy")(context({"busy": 0.8}))[0] == 2


@pytest.mark.parametrize(
    "reports",
    [(IDLE, None), (None, None)],
    ids=["while one replica has not reported", "while no replica has reported"],
)
def test_nobody_is_taken_away(reports: tuple[dict[str, float] | None, ...]) -> None:
    assert policy()(context(*reports))[0] == 2


def test_a_report_from_long_ago_says_nothing() -> None:
    assert policy()(context(BUSY, age=60))[0] == 1


def test_fewer_replicas_only_once_the_look_back_is_over() -> None:
    decide = policy()
    assert decide(context(*[BUSY] * 2, now=1000))[0] == 4
    assert decide(context(*[IDLE] * 2, now=1020))[0] == 2
    assert decide(context(*[IDLE] * 2, now=1040))[0] == 0


def test_between_two_decisions_the_last_one_stands() -> None:
    decide = policy()
    assert [decide(context(report, now=now))[0] for report, now in [(BUSY, 0), (IDLE, 0.5), (IDLE, 31.5)]] == [3, 3, 0]


def test_a_target_may_be_changed_by_name_and_wrong_names_are_refused() -> None:
    assert policy(utilisation=0.3)(context({"busy": 0.6}))[0] == 2
    with pytest.raises(ConfigError, match="utilization"):
        policy(utilization=0.3)


def test_a_defect_keeps_the_replicas_and_the_controller() -> None:
    broken = context(BUSY, target=4)
    broken._raw_metrics_value = {"busy": 5}  # type: ignore[dict-item]
    assert policy()(broken) == (4, {})


def shared(name: str, report: dict[str, float], now: float) -> AutoscalingContext:
    """What Serve tells the policy of one of several applications that may have eight replicas."""
    told = context(report, now=now)
    told.deployment_id = DeploymentID("TextEncoder", name)
    told.config = AutoscalingConfig(look_back_period_s=30, max_replicas=8)
    return told


def test_policies_of_several_applications_share_the_cores_of_their_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve pickles each of them with copies of its module's globals."""
    monkeypatch.setenv("EMBEDSERVE_CORES", "4")
    monkeypatch.setattr(core_budget, "_BUDGETS", {})
    crowd, decided = {"busy": 1.0, "held_s": 5.0, "waiting_s": 50.0}, {}
    versions = {"a": (policy(), crowd), "b": (policy(), IDLE), "c": (policy(), crowd)}
    for now in (0, 1, 2, 3):
        for name, (decide, report) in versions.items():
            decided[name] = decide(shared(name, report, now))[0]
    assert decided == {"a": 2, "b": 0, "c": 1}  # Serve keeps the one that each has at least
    gateways = policy("deployments.autoscaling.policies:GatewayPolicy")
    assert [gateways(shared("g", {"busy": 9.0}, now))[0] for now in (0, 3)] == [1, 4]

"""What Ray Data leaves out in a job of ours, in the installed Ray."""

from __future__ import annotations

import inspect
import pickle

import pytest
from ray.data._internal import cluster_autoscaler, stats
from ray.data._internal.cluster_autoscaler import rate_based_cluster_autoscaler as autoscaler
from ray.data._internal.execution.operators import actor_pool_map_operator as pool

from deployments.serve_internals import lean_data
from deployments.serve_internals.lean_data import NoTracker, OneNode, few_actors
from deployments.serve_internals.seams import SEAMS


def replaced() -> list[object]:
    """What stands where the seam puts its own."""
    found: list[object] = [
        vars(stats._StatsManager)[name] for name in sorted(vars(stats._StatsManager)) if name[0] != "_"
    ]
    return [*found, vars(autoscaler)["DefaultAutoscalingCoordinator"], vars(pool)["get_actor_locations"]]


def test_what_was_replaced_is_there_again_afterwards() -> None:
    before = replaced()
    with few_actors():
        assert not [one for one, other in zip(replaced(), before, strict=True) if one is other]
    assert replaced() == before


def test_nothing_is_replaced_while_the_seam_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SEAMS.__dict__, "allowed", frozenset())
    before = replaced()
    with few_actors():
        assert replaced() == before


def test_every_call_to_the_actor_of_statistics_is_left_out() -> None:
    public = {name for name in vars(stats._StatsManager) if name[0] != "_"}
    assert public == {*lean_data.OF_STATISTICS, "gen_dataset_id_from_stats_actor"}


def test_what_stands_for_ray_datas_actors_has_their_methods() -> None:
    assert cluster_autoscaler.AutoscalingCoordinator.__abstractmethods__ <= set(vars(OneNode))
    assert cluster_autoscaler.DEFAULT_CLUSTER_AUTOSCALER_VERSION == "RATE_BASED"
    worker = inspect.getsource(pool._MapWorker)
    assert worker.count("actor_location_tracker.") == 1
    pickle.loads(pickle.dumps(NoTracker())).update_actor_location.remote("an engine", "a node")

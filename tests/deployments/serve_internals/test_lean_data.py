"""What a job's own Ray leaves out, in the installed Ray."""

from __future__ import annotations

import inspect
import os
import pickle
from pathlib import Path

import pytest
import ray
from ray._private import services, utils
from ray._private.node import Node
from ray.data._internal import cluster_autoscaler, stats
from ray.data._internal.cluster_autoscaler import rate_based_cluster_autoscaler as autoscaler
from ray.data._internal.execution.operators import actor_pool_map_operator as pool

from deployments.serve_internals import lean_data
from deployments.serve_internals.lean_data import NoTracker, OneNode, few_actors, small_node
from deployments.serve_internals.seams import SEAMS

RAYLET = Path(ray.__file__).parent / "core" / "src" / "ray" / "raylet" / "raylet"


def replaced() -> list[object]:
    """What stands where the seam puts its own."""
    found: list[object] = [vars(Node)[name] for name in lean_data.OF_NODES]
    found += [vars(stats._StatsManager)[name] for name in sorted(vars(stats._StatsManager)) if name[0] != "_"]
    found += [services.get_node, utils.get_dashboard_dependency_error, os.environ.get(lean_data.PRESTART)]
    return [*found, vars(autoscaler)["DefaultAutoscalingCoordinator"], vars(pool)["get_actor_locations"]]


def test_what_was_replaced_is_there_again_afterwards() -> None:
    before = replaced()
    with small_node(), few_actors():
        assert not [one for one, other in zip(replaced(), before, strict=True) if one is other]
    assert replaced() == before


def test_nothing_is_replaced_while_the_seam_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SEAMS.__dict__, "allowed", frozenset())
    before = replaced()
    with small_node(), few_actors():
        assert replaced() == before


def test_a_variable_that_an_operator_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lean_data.PRESTART, "1")
    with small_node():
        assert os.environ[lean_data.PRESTART] == "1"
    assert os.environ[lean_data.PRESTART] == "1"
    assert lean_data.PRESTART.removeprefix("RAY_").encode() in RAYLET.read_bytes()


def test_every_call_to_the_actor_of_statistics_is_left_out() -> None:
    public = {name for name in vars(stats._StatsManager) if name[0] != "_"}
    assert public == {*lean_data.OF_STATISTICS, "gen_dataset_id_from_stats_actor"}


def test_what_stands_for_ray_datas_actors_has_their_methods() -> None:
    assert cluster_autoscaler.AutoscalingCoordinator.__abstractmethods__ <= set(vars(OneNode))
    assert cluster_autoscaler.DEFAULT_CLUSTER_AUTOSCALER_VERSION == "RATE_BASED"
    worker = inspect.getsource(pool._MapWorker)
    assert worker.count("actor_location_tracker.") == 1
    pickle.loads(pickle.dumps(NoTracker())).update_actor_location.remote("an engine", "a node")


def test_a_node_that_starts_is_looked_for_by_the_name_that_is_replaced() -> None:
    assert "ray._private.services.get_node(" in inspect.getsource(Node.__init__)
    starting = inspect.getsource(Node.start_head_processes) + inspect.getsource(Node.start_ray_processes)
    assert all(f"self.{name}(" in starting for name in lean_data.OF_NODES)

"""What the Ray of a service and that of a job leave out, in the installed Ray."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import ray
from ray._private import services, utils
from ray._private.node import Node

from deployments.serve_internals import lean_node
from deployments.serve_internals.lean_node import DASHBOARD, MONITORS, PRESTART, serving_node, working_node

RAYLET = Path(ray.__file__).parent / "core" / "src" / "ray" / "raylet" / "raylet"
Starting = Callable[..., AbstractContextManager[None]]
OF_A_SERVICE = {*MONITORS, "get_node"}
OF_A_JOB = {*OF_A_SERVICE, DASHBOARD, "get_dashboard_dependency_error", PRESTART}


def standing() -> dict[str, object]:
    """What stands where the seam puts its own."""
    found: dict[str, object] = {name: vars(Node)[name] for name in (*MONITORS, DASHBOARD)}
    found |= {"get_node": services.get_node, PRESTART: os.environ.get(PRESTART)}
    return found | {"get_dashboard_dependency_error": utils.get_dashboard_dependency_error}


@pytest.mark.parametrize(("starting", "left_out"), [(serving_node, OF_A_SERVICE), (working_node, OF_A_JOB)])
def test_what_is_left_out_while_a_ray_starts_is_there_again_afterwards(starting: Starting, left_out: set[str]) -> None:
    before = standing()
    with starting(lean=True):
        assert {name for name, one in standing().items() if one is not before[name]} == left_out
    assert standing() == before


@pytest.mark.parametrize("starting", [serving_node, working_node])
def test_nothing_is_left_out_while_the_seam_is_off(starting: Starting) -> None:
    before = standing()
    with starting(lean=False):
        assert standing() == before


def test_a_variable_that_an_operator_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PRESTART, "1")
    with working_node(lean=True):
        assert os.environ[PRESTART] == "1"
    assert os.environ[PRESTART] == "1"
    assert PRESTART.removeprefix("RAY_").encode() in RAYLET.read_bytes()


def test_ray_starts_what_is_left_out_by_the_names_that_are_replaced() -> None:
    assert "ray._private.services.get_node(" in inspect.getsource(Node.__init__)
    starting = inspect.getsource(Node.start_head_processes) + inspect.getsource(Node.start_ray_processes)
    assert all(f"self.{name}(" in starting for name in (DASHBOARD, *MONITORS))
    assert set(inspect.signature(lean_node._node_at_once).parameters) - {"get_node"} <= set(
        inspect.signature(services.get_node).parameters
    )

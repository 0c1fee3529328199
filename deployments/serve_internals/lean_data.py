"""A Ray that one job starts for itself, without what nobody asks there.

Ray starts a dashboard, a log monitor and a monitor of its autoscaler; Ray Data starts an actor each for statistics, for where engines
run, and for what a dataset may use of a cluster.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Final
from uuid import uuid4

from deployments.serve_internals.seams import SEAMS

LOOK_S: Final = 0.02  # between two looks for the node
START_S: Final = 30.0  # after which Ray itself says that there is none
RESOURCES: Final = ("CPU", "GPU", "memory", "object_store_memory")  # those that Ray Data counts
PRESTART: Final = "RAY_prestart_worker_first_driver"  # a process for each core, for which the first driver waits
OF_NODES: Final = ("start_api_server", "start_log_monitor", "start_monitor")
OF_STATISTICS: Final = ("update_execution_metrics", "update_iteration_metrics", "register_dataset_to_stats_actor")


class NoTracker:
    """Stands for the actor that knows where engines run: they all run here. It travels to the workers."""

    class update_actor_location:  # noqa: N801 - a method of the actor
        """Takes what an engine tells."""

        @staticmethod
        def remote(*_: object) -> None:
            """Forget it."""


class OneNode:
    """Stands for the actor that gives each dataset its part of the cluster: the only one has all of this node."""

    def __init__(self, *_: object, **__: object) -> None:
        """Look at the nodes once."""
        import ray

        self._nodes = {
            node["NodeID"]: {name: node["Resources"][name] for name in RESOURCES if name in node["Resources"]}
            for node in ray.nodes()  # type: ignore[no-untyped-call]
            if node["Alive"]
        }

    def request_resources(self, *_: object, **__: object) -> None:
        """There are no more."""

    def cancel_request(self) -> None:
        """There is none."""

    def get_reserved_resources(self) -> dict[str, dict[str, float]]:
        """By a node's id."""
        return self._nodes


@contextmanager
def small_node() -> Iterator[None]:
    """While a Ray starts: it has an agent as where Ray is installed without its dashboard, and no more than it needs."""
    if not SEAMS.on("lean_data"):
        yield
        return
    from ray._private import services, utils
    from ray._private.node import Node

    with ExitStack() as stack:
        stack.enter_context(_variable(PRESTART, "0"))
        stack.enter_context(_replaced(services, "get_node", partial(_node_at_once, services.get_node)))
        for name in OF_NODES:
            stack.enter_context(_replaced(Node, name, _nothing))
        stack.enter_context(_replaced(utils, "get_dashboard_dependency_error", _no_dashboard))
        yield


@contextmanager
def few_actors() -> Iterator[None]:
    """While Ray Data runs in this process, on one node and for one job."""
    if not SEAMS.on("lean_data"):
        yield
        return
    from ray.data._internal import stats
    from ray.data._internal.cluster_autoscaler import rate_based_cluster_autoscaler as autoscaler
    from ray.data._internal.execution.operators import actor_pool_map_operator as pool

    SEAMS.uses["lean_data"] += 1
    with ExitStack() as stack:
        for name in OF_STATISTICS:
            stack.enter_context(_replaced(stats._StatsManager, name, staticmethod(_nothing)))
        named = staticmethod(lambda: uuid4().hex)
        stack.enter_context(_replaced(stats._StatsManager, "gen_dataset_id_from_stats_actor", named))
        stack.enter_context(_replaced(autoscaler, "DefaultAutoscalingCoordinator", OneNode))
        stack.enter_context(_replaced(pool, "get_or_create_actor_location_tracker", NoTracker))
        stack.enter_context(_replaced(pool, "get_actor_locations", lambda _: {}))
        yield


def _node_at_once(get_node: Callable[[str, str], Any], address: str, node_id: str) -> Any:
    """The node that starts, as soon as it is there: Ray itself looks once a second."""
    from ray._private import services, state

    looking: Any = state.GlobalState()  # type: ignore[no-untyped-call]
    looking._initialize_global_state(services._get_gcs_client_options(address))  # type: ignore[no-untyped-call]
    end = time.monotonic() + START_S
    while time.monotonic() < end and not any(one["NodeID"] == node_id for one in looking.node_table()):
        time.sleep(LOOK_S)
    return get_node(address, node_id)


def _nothing(*_: object, **__: object) -> None:
    """In the place of what starts or tells something."""


def _no_dashboard() -> ImportError:
    return ImportError("nobody asks for a dashboard")


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """One of this process's environment, unless its user set it."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = vars(owner)[name]  # as it stands there: a staticmethod stays one
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)

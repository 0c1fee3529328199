"""Ray Data on a Ray that one job started for itself, without what nobody asks there.

It starts an actor each for statistics, for where engines run, and for what a dataset may use of a cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final
from uuid import uuid4

from deployments.serve_internals.lean_node import nothing, replaced
from deployments.serve_internals.seams import SEAMS

RESOURCES: Final = ("CPU", "GPU", "memory", "object_store_memory")  # those that Ray Data counts
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
            stack.enter_context(replaced(stats._StatsManager, name, staticmethod(nothing)))
        named = staticmethod(lambda: uuid4().hex)
        stack.enter_context(replaced(stats._StatsManager, "gen_dataset_id_from_stats_actor", named))
        stack.enter_context(replaced(autoscaler, "DefaultAutoscalingCoordinator", OneNode))
        stack.enter_context(replaced(pool, "get_or_create_actor_location_tracker", NoTracker))
        stack.enter_context(replaced(pool, "get_actor_locations", lambda _: {}))
        yield

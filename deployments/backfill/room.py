"""Whether a Ray has a node on which an engine fits: Ray itself waits for one without a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deployments.backfill.job import Machines

Resources = Mapping[str, float]


def nodes_here() -> list[Resources]:
    """What each node of the connected Ray has."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in nodes if node["Alive"]]


def lacking(machines: Machines, nodes: Sequence[Resources]) -> str:
    """Why no engine fits on any of these nodes; "" where one does."""
    wanted = {"CPU": (float(machines.cpus), "cores (--cpus)"), "GPU": (machines.gpus, "cards (--gpus)")}
    if any(all(node.get(name, 0) >= much for name, (much, _) in wanted.items()) for node in nodes):
        return ""
    needs = " and ".join(f"{much:g} {what}" for much, what in wanted.values() if much)
    have = ", ".join(sorted({f"{node.get('CPU', 0):g} cores and {node.get('GPU', 0):g} cards" for node in nodes}))
    return f"an engine needs {needs}, and Ray's nodes have {have or 'nothing, as there are none'}"

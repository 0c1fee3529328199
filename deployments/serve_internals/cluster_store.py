"""A place where all replicas of a cluster agree: Ray's key-value store, whose first writer is told apart from the others."""

from __future__ import annotations

from ray.experimental import internal_kv

from deployments.serve_internals.seams import SEAMS

NAMESPACE = "embedserve"


def available() -> bool:
    """Whether there is one: the seam is on, and this process belongs to a Ray."""
    return SEAMS.on("cluster_store") and bool(internal_kv._internal_kv_initialized())  # type: ignore[no-untyped-call]


def claim(key: str, value: str) -> str:
    """Write a value unless there is one; returns the one that there is afterwards."""
    SEAMS.uses["cluster_store"] += 1
    internal_kv._internal_kv_put(key, value, overwrite=False, namespace=NAMESPACE)
    kept: bytes | None = internal_kv._internal_kv_get(key, namespace=NAMESPACE)
    return value if kept is None else kept.decode()


def replace(key: str, value: str) -> None:
    """Write a value whatever there is."""
    internal_kv._internal_kv_put(key, value, overwrite=True, namespace=NAMESPACE)

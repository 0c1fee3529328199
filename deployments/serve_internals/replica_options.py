"""What a replica's deployment is configured with, which Serve does not tell its replicas in public."""

from __future__ import annotations

from ray import serve
from ray.serve.exceptions import RayServeException

from deployments.serve_internals.seams import SEAMS


def max_ongoing_requests(otherwise: int) -> int:
    """The ``max_ongoing_requests`` in force for this replica's deployment; it may change while the replica runs.

    Args:
        otherwise: what holds outside of a replica, while the seam is off, and where Serve keeps the value elsewhere.
    """
    if not SEAMS.on("replica_options"):
        return otherwise
    try:
        config = getattr(serve.get_replica_context(), "_deployment_config", None)
    except RayServeException:  # not in a replica
        return otherwise
    return int(getattr(config, "max_ongoing_requests", otherwise))

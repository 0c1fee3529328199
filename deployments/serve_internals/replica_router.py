"""How the gateway's calls find a replica of an encoder."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import wraps
from typing import Any

from ray.serve._private.common import DeploymentTargetInfo
from ray.serve._private.router import AsyncioRouter

from deployments.rpc.client import Replica


def replicas_of(handle: Any) -> Mapping[Hashable, Replica]:
    """The replicas that a Serve handle may call right now; none before its first call."""
    router = getattr(handle._router, "_asyncio_router", None)
    chooser = router.request_router if router else None
    return chooser.curr_replicas if chooser else {}


def keep_replicas_that_reconfigure() -> None:
    """Make the handles of this process go on calling the last replicas of a version while they reconfigure.

    Serve takes a replica that reconfigures out of the set that is called. Ours serve all through it, so that a version
    with one replica would stand still while its artifact loads: 0.4 s for MiniLM, 2 s for CLIP. A set that becomes
    empty is therefore not taken at its word: its replicas stay until a call finds them dead, which the router notices
    by itself. A router class would be the documented way; Serve refuses one for the only deployment of an application,
    which an encoder is.
    """
    taken = AsyncioRouter.update_deployment_targets
    if hasattr(taken, "__wrapped__"):
        return

    @wraps(taken)
    def update_deployment_targets(self: AsyncioRouter, target: DeploymentTargetInfo) -> None:
        router = self.request_router
        called = router.curr_replicas if router else {}
        if target.running_replicas or not target.is_available or not called:
            taken(self, target)

    AsyncioRouter.update_deployment_targets = update_deployment_targets  # type: ignore[method-assign, assignment]

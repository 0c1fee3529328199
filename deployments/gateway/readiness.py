"""Whether every version that takes requests embeds."""

from __future__ import annotations

import time

from deployments.gateway.model_registry import ModelRegistry

FRESH_S = 5.0  # an embedding that is not older proves that a replica embeds


async def unready(registry: ModelRegistry) -> list[str]:
    """Why the service is not ready: one line for each routed version that has no replica which embedded something just now.

    Versions that sleep when idle are asked only while they are used.
    """
    routed = [version for version in registry.versions.values() if registry.share(version) > 0]
    if not routed:
        return ["no model is routed: the gateway's user_config names none"]
    routed = [version for version in routed if not version.resting]
    for version in routed:
        if version.error or time.monotonic() - version.seen_at > FRESH_S:
            await version.refresh(FRESH_S)
    return [f"{version.reference}: {version.error}" for version in routed if version.error]

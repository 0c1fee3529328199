"""The Rays that run on this machine."""

from __future__ import annotations

from deployments.serve_internals.seams import SEAMS


def local_rays() -> list[str] | None:
    """Their addresses; None while the seam is off and nobody knows."""
    if not SEAMS.on("local_rays"):
        return None
    from ray._private.services import find_gcs_addresses

    addresses: set[str] = find_gcs_addresses()  # type: ignore[no-untyped-call]
    return sorted(addresses)

"""Checks of a running service, over HTTP alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from deployments.doctor.finding import Check, Finding
from deployments.operator.served import served_versions

ROLLBACK = "`embedserve rollback` undoes the change; the replica's log says more"


def checks(url: str) -> dict[str, Check]:
    """The checks of the service at a URL."""
    return {"service": partial(service, url)}


def service(url: str) -> Iterator[Finding]:
    """Whether every version is ready, serves what it was asked to serve, and from real weights.

    Raises:
        UnavailableError: nothing answers there.
        ForbiddenError: it asks for a key.
    """
    versions = served_versions(url)
    yield Finding("service", "good", f"{url} answers and serves {len(versions)} versions")
    for version in versions:
        yield from _version(version)


def _version(version: dict[str, Any]) -> Iterator[Finding]:
    name = version["id"]
    if version["state"] == "ready":
        computed = f"{version['precision']} by {version['numerics'] or version['provider']}"
        yield Finding(
            name, "good", f"ready, {version['replicas']} replicas, {version['share']:.0%} of its traffic, {computed}"
        )
    elif version["state"] == "asleep":
        yield Finding(name, "good", "asleep: it wakes when it is asked")
    else:
        yield Finding(name, "wrong", f"{version['state']}: {version['reason'] or 'no reason is known yet'}", ROLLBACK)
    if version["swap_error"]:
        yield Finding(
            name, "wrong", f"it serves its old artifact, as the new one was refused: {version['swap_error']}", ROLLBACK
        )
    if version["weights"] == "synthetic":
        remedy = "`embedserve models pull` where a hub answers, and a restart"
        yield Finding(name, "note", "its weights are random: its vectors mean nothing", remedy)
    if version["batch_dependent"]:
        yield Finding(name, "note", "its vectors depend on the other inputs of a batch, and none is cached")

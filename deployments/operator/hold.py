"""Before a second cluster takes over: the replicas that run now become the least that it starts with, and keeps.

A new cluster begins at ``min_replicas`` (or ``initial_replicas``), gets the traffic of one that had grown since, and takes its
replicas away again while it waits for that. So both are raised; the file without the change lets them go afterwards.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from deployments.operator.document import Document

Counts = Mapping[tuple[str, str], int]  # replicas by application and deployment


def live_counts(details: Mapping[str, Any]) -> Counts:
    """How many replicas of each deployment a cluster wants or has, whichever is more, by what Serve says of itself."""
    return {
        (app, name): max(
            deployment.get("target_num_replicas") or 0,
            sum(replica["state"] == "RUNNING" for replica in deployment.get("replicas", ())),
        )
        for app, reported in details.get("applications", {}).items()
        for name, deployment in reported.get("deployments", {}).items()
    }


def hold(document: Document, counts: Counts) -> Document:
    """Raise the least and the first number of replicas to what runs, within ``max_replicas``.

    What has a fixed number, runs no more than its least, or sleeps at zero, stays as it is; what may sleep and does not begins with
    what runs, and may go to sleep again.
    """
    held = copy.deepcopy(document)
    for app in held["applications"]:
        for deployment in app.get("deployments", ()):
            scaling = deployment.get("autoscaling_config")
            running = counts.get((app["name"], deployment["name"]), 0)
            if not scaling or running <= scaling.get("min_replicas", 1):
                continue
            wanted = min(running, scaling.get("max_replicas", 1))
            scaling["initial_replicas"] = wanted
            if scaling.get("min_replicas", 1) > 0:
                scaling["min_replicas"] = wanted
    return held

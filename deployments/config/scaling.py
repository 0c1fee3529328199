"""What an autoscaling policy aims for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from deployments.config.base import Strict


class Target(Strict):
    """``policy_kwargs``: what the autoscaler aims for."""

    utilisation: Annotated[float, Field(gt=0, le=1)]  # of a replica's slowest stage, 0 to 1; its policy has the default
    drain_s: Annotated[float, Field(gt=0)]  # in which waiting work should be done; its policy has the default
    # In replicas, up and down: under steady load replicas must not be added and removed in turn.
    slack: Annotated[float, Field(ge=0, lt=1)] = 0.1

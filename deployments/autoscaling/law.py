"""How many replicas the work needs: pure functions of what replicas report.

The law is the same for every deployment, in the autoscaler, the tests and the simulator: enough replicas for the current
work at the target utilisation, plus enough to clear the queue within the target time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deployments.config.scaling import Target

# Work waits about as long as it runs in a queue that is 70 % busy, twice as long at 80 %, four times at 90 % (M/D/1).
TEXT = Target(utilisation=0.7, drain_s=5)  # s: about as long as a replica takes to start
IMAGE_CPU = Target(utilisation=0.7, drain_s=10)  # an image is 64 times a token's work, and its clients wait longer
IMAGE_GPU = Target(utilisation=0.8, drain_s=30)  # batches take milliseconds, a new node with a GPU minutes
TEXT_GPU = IMAGE_GPU  # for the same reasons
GATEWAY = Target(utilisation=0.6, drain_s=math.inf)  # one event loop, on which requests wait for each other


@dataclass(frozen=True, slots=True)
class Report:
    """What one replica said last."""

    busy: float  # utilisation of its slowest stage, 0 to 1
    refused: float = 0.0  # work that gateways refused, in seconds of this replica's work per second
    held_s: float = 0.0  # seconds of work that it holds and has not answered
    waiting_s: float = 0.0  # seconds of work queued for its version in all gateways that called it


def demand(reports: Sequence[Report], target: Target) -> float:
    """How many replicas would do the current work, what was refused, and what waits.

    A gateway tells a refusal to one replica, so that refusals add up. It tells its queue to every replica that it calls,
    so that the longest queue that any replica heard of counts, once.
    """
    working = sum(report.busy + report.refused for report in reports)
    queued = sum(report.held_s for report in reports) + max((report.waiting_s for report in reports), default=0.0)
    return working / target.utilisation + queued / target.drain_s


def replicas(current: int, now: float, peak: float, slack: float) -> int:
    """How many replicas to aim for: up by the demand now, down only by the highest demand of the recent past.

    Args:
        current: replicas aimed for so far, including those that are starting.
        now: the demand now, in replicas.
        peak: the highest demand of the look-back period, in replicas.
        slack: how far demand must exceed or undercut ``current`` before anything changes, in replicas.
    """
    upwards = math.ceil(now - slack)
    if upwards > current:
        return upwards
    downwards = math.ceil(peak + slack) if peak > 0 else 0
    return min(current, downwards)


def decoder_cpus(images_per_second: float, decode_s: float, target: Target = IMAGE_CPU) -> int:
    """How many cores of decoders keep an encoder on a card busy.

    Args:
        images_per_second: that the card embeds.
        decode_s: seconds that one core takes to decode an image; for mixed sizes, the mean.
        target: of the decoders' autoscaling policy.
    """
    return max(1, math.ceil(round(images_per_second * decode_s / target.utilisation, 6)))

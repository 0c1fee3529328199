"""How many replicas the work needs: pure functions of what replicas report, for Serve's autoscaler, tests and simulator.

One law for every deployment: replicas as busy as they should be, and enough beside them to clear what waits in time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from deployments.config.base import Strict


class Target(Strict):
    """What a deployment's replicas should look like."""

    utilisation: Annotated[float, Field(gt=0, le=1)]  # part of the time that a replica's slowest stage works
    drain_s: Annotated[float, Field(gt=0)]  # in which waiting work is to be gone
    slack: Annotated[float, Field(ge=0, lt=1)] = 0.1  # of a replica, in both directions: steady load must not flap


# Work waits about as long as it runs in a queue that is 70 % busy, twice as long at 80 %, four times at 90 % (M/D/1).
TEXT = Target(utilisation=0.7, drain_s=5)  # about as long as a replica takes to start
IMAGE_CPU = Target(utilisation=0.7, drain_s=10)  # a picture is 64 times a token's work, and its clients wait longer
IMAGE_GPU = Target(utilisation=0.8, drain_s=30)  # batches take milliseconds, and a GPU's node minutes to come
GATEWAY = Target(utilisation=0.6, drain_s=math.inf)  # one event loop, on which every request waits for every other


@dataclass(frozen=True, slots=True)
class Report:
    """What one replica said last."""

    busy: float  # part of the time that its slowest stage worked; 1: always
    refused: float = 0.0  # work that gateways refused, in seconds of this replica's work per second
    held_s: float = 0.0  # seconds of work that it accepted and has not answered
    waiting_s: float = 0.0  # seconds of work that waits for its version in all gateways, as far as it heard


def demand(reports: Sequence[Report], target: Target) -> float:
    """Replicas' worth of work: done, refused and waiting.

    Every refusal is told to one replica. Of the same queue all of them hear: the longest that one heard of counts.
    """
    working = sum(report.busy + report.refused for report in reports)
    queued = sum(report.held_s for report in reports) + max((report.waiting_s for report in reports), default=0.0)
    return working / target.utilisation + queued / target.drain_s


def replicas(current: int, now: float, peak: float, slack: float) -> int:
    """How many replicas to aim for: more by what is needed now, fewer only by the most that was needed lately.

    Args:
        current: replicas aimed for so far, those that still start among them.
        now: the demand now.
        peak: the highest demand of the look-back period.
        slack: how far, in replicas, demand must leave what ``current`` can do before anything changes.
    """
    upwards = math.ceil(now - slack)
    if upwards > current:
        return upwards
    downwards = math.ceil(peak + slack) if peak > 0 else 0
    return min(current, downwards)


def decoder_cpus(images_per_second: float, decode_s: float, target: Target = IMAGE_CPU) -> int:
    """Cores of decoders that keep an encoder on a card busy.

    Args:
        images_per_second: what the card embeds.
        decode_s: seconds in which one core decodes one image; of mixed sizes, the mean.
        target: how busy the decoders' autoscaling policy lets them be.
    """
    return max(1, math.ceil(round(images_per_second * decode_s / target.utilisation, 6)))


class Lately:
    """The highest of the values noted within a period."""

    def __init__(self) -> None:
        """Begin without any."""
        self._values: deque[tuple[float, float]] = deque()  # falling values: a later, higher one hides those before it

    def note(self, time_s: float, value: float, period_s: float) -> float:
        """Add a value and return the highest that is not older than ``period_s``."""
        while self._values and self._values[-1][1] <= value:
            self._values.pop()
        self._values.append((time_s, value))
        while self._values[0][0] < time_s - period_s:
            self._values.popleft()
        return self._values[0][1]

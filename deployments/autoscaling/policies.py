"""The autoscaling policies that serve_config.yaml names: reports of replicas in, a number of replicas out.

Serve bounds the number, and waits ``upscale_delay_s`` and ``downscale_delay_s`` before it acts. It pickles this module
by value into the application's build, so that the arithmetic lives in ``law.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from deployments.autoscaling import law
from deployments.autoscaling.law import Lately, Report, Target, demand, replicas
from deployments.config.base import parse
from deployments.observability.logging import logger

DECIDE_EVERY_S = 1.0  # Serve asks ten times a second; replicas report every two
STALE_S = 30.0  # a report older than this says nothing about now
COMPLAIN_EVERY_S = 60.0


class _Policy:
    """Scales by the work that replicas report; instantiated by Serve once per deployed configuration."""

    target: ClassVar[Target]

    def __init__(self, **overrides: float) -> None:
        """Take ``policy_kwargs``: any field of ``Target``.

        Raises:
            ConfigError: a field is unknown or out of range.
        """
        self._target = parse(Target, {**self.target.model_dump(), **overrides}, "policy_kwargs")
        self._lately = Lately()
        self._decided: tuple[float, int] | None = None  # when, and what
        self._complained_at = 0.0

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        """Decide for one deployment; ``context`` is Serve's ``AutoscalingContext``."""
        try:
            return self._decide(context), {}
        except Exception:  # whatever is raised here would stop the controller's work for all applications
            if context.current_time - self._complained_at > COMPLAIN_EVERY_S:
                self._complained_at = context.current_time
                logger.exception("autoscaling of %s failed; it keeps its replicas", context.deployment_id)
            return context.target_num_replicas, {}

    def _decide(self, context: Any) -> int:
        current: int = context.target_num_replicas
        if self._decided is not None and context.current_time - self._decided[0] < DECIDE_EVERY_S:
            return self._decided[1]
        found = fresh(context.raw_metrics, context.current_time)
        now = demand(found, self._target)
        complete = len(found) >= max(context.current_num_replicas, 1)
        # A replica that says nothing yet may work as hard as the others: nobody is taken away meanwhile.
        noted = now if complete else max(now, float(current))
        peak = self._lately.note(context.current_time, noted, context.config.look_back_period_s)
        wanted = replicas(current, now, peak, self._target.slack)
        self._decided = (context.current_time, wanted)
        return wanted


def fresh(metrics: Mapping[str, Mapping[Any, Any]], now: float) -> list[Report]:
    """The last report of every replica, where it is not too old.

    Args:
        metrics: metric to replica to time series, as Serve keeps what ``record_autoscaling_stats`` returned.
        now: seconds, on the clock that the series carry.
    """
    found = []
    for replica, series in metrics.get("busy", {}).items():
        if not series or now - series[-1].timestamp > STALE_S:
            continue
        queued = {name: metrics.get(name, {}).get(replica) for name in ("refused", "held_s", "waiting_s")}
        found.append(Report(series[-1].value, **{name: s[-1].value if s else 0.0 for name, s in queued.items()}))
    return found


class TextPolicy(_Policy):
    """Text encoders."""

    target = law.TEXT


class ImageCpuPolicy(_Policy):
    """Image encoders on processors."""

    target = law.IMAGE_CPU


class ImageGpuPolicy(_Policy):
    """Image encoders on GPUs."""

    target = law.IMAGE_GPU


class GatewayPolicy(_Policy):
    """Gateways. What waits in them waits for encoders, which more gateways would not help."""

    target = law.GATEWAY


POLICIES: dict[str, type[_Policy]] = {
    f"{__name__}:{policy.__name__}": policy for policy in (GatewayPolicy, TextPolicy, ImageCpuPolicy, ImageGpuPolicy)
}

"""The autoscaling policies that serve_config.yaml names: reports of replicas in, a number of replicas out.

Serve keeps the number between ``min_replicas`` and ``max_replicas`` and waits ``upscale_delay_s`` or
``downscale_delay_s`` before it acts. It pickles this module by value when it builds the application, which is why the
arithmetic is in ``law.py``: that is imported, and so is the same code as everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar

from deployments.autoscaling import core_budget, law
from deployments.autoscaling.core_budget import Claim, CoreBudget
from deployments.autoscaling.law import Report, demand, replicas
from deployments.autoscaling.window_maximum import WindowMaximum
from deployments.config.base import parse
from deployments.config.scaling import Target
from deployments.observability.logging import logger

DECIDE_EVERY_S = 1.0  # Serve asks ten times a second, and replicas report every two seconds
STALE_S = 30.0  # an older report says nothing about now
COMPLAIN_EVERY_S = 60.0  # between two log lines about a policy that fails


class _Policy:
    """Scales a deployment by the work that its replicas report; Serve makes one for each deployed configuration."""

    target: ClassVar[Target]
    pool: ClassVar[str | None] = "encoders"  # whose replicas share the cores; None: they compute elsewhere
    budget: CoreBudget | None = None  # None: that of the process

    def __init__(self, **overrides: float) -> None:
        """Take ``policy_kwargs``: the fields of ``Target``, each with the policy's own default.

        Raises:
            ConfigError: a field is unknown or out of range.
        """
        self._target = parse(Target, {**self.target.model_dump(), **overrides}, "policy_kwargs")
        self._peak = WindowMaximum()
        self._decided: tuple[float, int] | None = None  # when, and how many
        self._complained_at = 0.0

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        """How many replicas a deployment should have, for Serve; ``context`` is Serve's ``AutoscalingContext``."""
        try:
            return self._decide(context), {}
        except Exception:  # an error raised here would stop Serve's controller for all applications
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
        # A replica that has not reported yet may be as busy as the others: until it reports, none is removed.
        noted = now if complete else max(now, float(current))
        peak = self._peak.note(context.current_time, noted, context.config.look_back_period_s)
        wanted = self._carried(context, replicas(current, now, peak, self._target.slack))
        self._decided = (context.current_time, wanted)
        return wanted

    def _carried(self, context: Any, wanted: int) -> int:
        """As many of the wanted replicas as the cores carry beside those of others; Serve's own bounds come after it."""
        if self.pool is None:
            return wanted
        bounded = max(context.config.min_replicas, min(wanted, context.config.max_replicas))
        least = max(context.config.min_replicas, min(bounded, 1))  # a version that somebody asks for wakes
        # Asked of the module: Serve pickles this one, so that its own globals are copies for each application.
        budget = self.budget or core_budget.of_this_process(self.pool)
        claim = Claim(least, context.target_num_replicas, bounded)
        return min(wanted, budget.limit(str(context.deployment_id), claim, context.current_time))


def fresh(metrics: Mapping[str, Mapping[Any, Any]], now: float) -> list[Report]:
    """The last report of every replica, without those older than ``STALE_S``.

    Args:
        metrics: by metric and replica the time series of what ``record_autoscaling_stats`` returned.
        now: seconds, on the clock of the series.
    """
    found = []
    for replica, series in metrics.get("busy", {}).items():
        if not series or now - series[-1].timestamp > STALE_S:
            continue
        said = {field.name: metrics.get(field.name, {}).get(replica) for field in fields(Report)}
        found.append(Report(**{name: values[-1].value if values else 0.0 for name, values in said.items()}))
    return found


class TextPolicy(_Policy):
    """Text encoders."""

    target = law.TEXT


class ImageCpuPolicy(_Policy):
    """Image encoders on CPUs."""

    target = law.IMAGE_CPU


class ImageGpuPolicy(_Policy):
    """Image encoders on GPUs."""

    target = law.IMAGE_GPU
    pool = None


class TextGpuPolicy(_Policy):
    """Text encoders on GPUs."""

    target = law.TEXT_GPU
    pool = None


class GatewayPolicy(_Policy):
    """Gateways. What waits in a gateway waits for encoders, so that it is no reason for more gateways."""

    target = law.GATEWAY
    pool = "gateways"


POLICIES: dict[str, type[_Policy]] = {
    f"{__name__}:{policy.__name__}": policy
    for policy in (GatewayPolicy, TextPolicy, TextGpuPolicy, ImageCpuPolicy, ImageGpuPolicy)
}

"""Where a rollout stands: kept in the gateway's configuration beside the commands' other notes, for anybody to go on."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from deployments.operator.document import Document, gateway, require_routed, routes, split
from deployments.operator.lock import ROLLOUTS
from deployments.operator.operations import route
from deployments.operator.rollout.guards import Limits
from models.errors import ConfigError

Phase = Literal["running", "paused", "done", "undone", "aborted"]
ALL = 100.0


@dataclass(frozen=True)
class Rollout:
    """One rollout of one candidate."""

    reference: str
    before: dict[str, float]  # weights when it began
    steps: list[float]  # percent of the traffic
    every_s: float
    driver: str  # the process that moves it; another one that takes over writes its own
    limits: dict[str, Any] = field(default_factory=dict)
    at: int = 0  # the step
    phase: Phase = "running"
    reason: str = ""  # why it ended, or waits

    @property
    def share(self) -> float:
        """Percent of the traffic in this step."""
        return self.steps[self.at]

    @property
    def open(self) -> bool:
        """Whether it can still go on."""
        return self.phase in ("running", "paused")

    @property
    def guard_limits(self) -> Limits:
        """How much worse is too much."""
        return Limits(**self.limits)

    def __str__(self) -> str:
        """Where it stands."""
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.reference}: {self.phase} at step {self.at + 1} of {len(self.steps)}, {self.share:g} %{why}"


def begun(
    document: Document, reference: str, steps: list[float], every_s: float, driver: str, limits: Limits
) -> Rollout:
    """A new rollout on a document.

    Raises:
        ConfigError: it is under way, or the candidate has all traffic already.
        ModelNotFoundError: the candidate is not served.
    """
    model, version = split(reference)
    require_routed(document, model, version)
    old = of(document, model)
    if old is not None and old.open:
        raise ConfigError(f"a rollout stands there: {old}; --resume goes on with it, --abort undoes it")
    before = dict(routes(document, model)["versions"])
    if not any(weight > 0 for name, weight in before.items() if name != version):
        raise ConfigError(f"{reference} has all traffic of {model}: there is nothing to compare it with")
    asked = "--min-cosine" if limits.min_cosine is not None else "--min-overlap" if limits.min_overlap else ""
    if asked and not routes(document, model).get("shadow", {}).get(version):
        raise ConfigError(
            f"{asked} compares shadow copies, and {version} gets none; `embedserve route {model} --shadow {version}=10`"
        )
    return Rollout(reference, before, steps, every_s, driver, asdict(limits))


def of(document: Document, model: str) -> Rollout | None:
    """A model's last rollout; none where there was none, or another version of this tool wrote it."""
    kept: Any = gateway(document).get("previous", {}).get(ROLLOUTS, {}).get(model)
    try:
        return Rollout(**kept) if kept else None
    except TypeError:
        return None


def noted(document: Document, rollout: Rollout) -> Document:
    """The document with this note, and otherwise as it is."""
    target = copy.deepcopy(document)
    notes = gateway(target).setdefault("previous", {}).setdefault(ROLLOUTS, {})
    notes[split(rollout.reference)[0]] = asdict(rollout)
    return target


def moved(document: Document, rollout: Rollout) -> Document:
    """The document in which the candidate has the share of the rollout's step."""
    model, _ = split(rollout.reference)
    return noted(route(document, model, weights(rollout), {}), rollout)


def undone(document: Document, rollout: Rollout) -> Document:
    """The document with the weights from before the rollout; versions that are gone since are left out.

    Raises:
        ConfigError: none of the versions that had traffic is left.
    """
    model, _ = split(rollout.reference)
    there = routes(document, model)["versions"]
    before = {version: weight for version, weight in rollout.before.items() if version in there}
    return noted(route(document, model, before, {}), rollout)


def weights(rollout: Rollout) -> dict[str, float]:
    """The weights of a step: the candidate's share, and the others' in their proportion from before."""
    _, candidate = split(rollout.reference)
    others = {version: weight for version, weight in rollout.before.items() if version != candidate}
    total = sum(others.values())
    rest = {version: (ALL - rollout.share) * weight / total for version, weight in others.items()}
    return {candidate: rollout.share, **{version: round(weight, 6) for version, weight in rest.items()}}


def stands(document: Document, rollout: Rollout) -> bool:
    """Whether the weights are still those of the rollout's step."""
    model, _ = split(rollout.reference)
    found: Mapping[str, float] = routes(document, model)["versions"]
    wanted = routes(moved(document, rollout), model)["versions"]
    return dict(found) == dict(wanted)


def with_phase(rollout: Rollout, phase: Phase, reason: str = "") -> Rollout:
    """The same rollout, elsewhere on its way."""
    return replace(rollout, phase=phase, reason=reason)

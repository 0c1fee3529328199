"""Earlier states of a model, out of a RayService's history. Pure functions."""

from __future__ import annotations

import copy
from typing import Any

from deployments.operator.document import Document, encoders, gateway
from deployments.operator.kube.history import Revision, find
from deployments.operator.operations import remember
from models.errors import ConfigError, EmbedserveError


def past_by_history(revisions: list[Revision], model: str, steps: int | None, to: int | None) -> dict[str, Any]:
    """What ``operations.rollback`` needs to return a model to what it was in an earlier revision.

    Args:
        revisions: the oldest first; the last one is what stands.
        model: whose.
        steps: how many changes of this model back, 1 if both are None.
        to: the number of a revision instead.

    Raises:
        ConfigError: so far back the history does not go.
    """
    if to is not None:
        return _past(find(revisions, to).document, model)
    states = _states(revisions, model)
    wanted = steps or 1
    if wanted >= len(states):
        known = len(states) - 1
        raise ConfigError(
            f"the history knows {known} earlier {'state' if known == 1 else 'states'} of {model}, not {wanted}; "
            "`embedserve history` lists what it keeps"
        )
    return _past(states[wanted].document, model)


def _states(revisions: list[Revision], model: str) -> list[Revision]:
    """The revisions that left the model's routing or artifacts other than the one before, the newest first."""
    found: list[Revision] = []
    last: dict[str, Any] | None = None
    for revision in reversed(revisions):
        try:
            state = _past(revision.document, model)
        except (
            EmbedserveError,
            KeyError,
            TypeError,
        ):  # without the model, or broken with kubectl: nothing to return to
            continue
        state.pop("applications", None)
        if state != last:
            found.append(revision)
            last = state
    return found


def _past(document: Document, model: str) -> dict[str, Any]:
    """A model's state as ``remember`` keeps it, with every application, in case that one is gone now."""
    without = copy.deepcopy(document)
    names = {app["name"] for _, app in encoders(document, model)}
    without["applications"] = [app for app in without["applications"] if app["name"] not in names]
    past: dict[str, Any] = gateway(remember(document, without, model))["previous"][model]
    return past

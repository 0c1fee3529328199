"""The prompt of a model that a job puts before each text: known before the first row, or refused."""

from __future__ import annotations

from collections.abc import Sequence

from deployments.backfill.model import Wanted, preparation
from models.catalog.model_spec import ModelSpec
from models.errors import InputError, JobError
from models.inputs.prompted import Prompted


def require_served(prompt: str, spec: ModelSpec, known: Sequence[str]) -> None:
    """Refuse a prompt that a running service does not list.

    Raises:
        JobError: it is none of ``known``.
    """
    _require_texts(prompt, spec)
    if prompt and prompt not in known:
        there = ", ".join(known) or "none"
        raise JobError(f"--prompt: {spec.reference}: this model has no prompt {prompt!r:.40}; there are: {there}")


def require_here(prompt: str, spec: ModelSpec, wanted: Wanted) -> None:
    """Refuse a prompt that the artifact on this machine does not have.

    Raises:
        JobError: it has none of that name.
    """
    _require_texts(prompt, spec)
    if prompt:
        tried = preparation(wanted)([Prompted(prompt, "a")])[0]
        if isinstance(tried, InputError):
            raise JobError(f"--prompt: {spec.reference}: {tried}")


def _require_texts(prompt: str, spec: ModelSpec) -> None:
    if prompt and spec.modality.name != "text":
        raise JobError(f"--prompt is for texts, and {spec.reference} embeds {spec.modality.name}s; leave it out")

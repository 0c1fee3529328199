"""What computes the vectors of a job: a version's name, and the artifact that stands for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deployments.backfill.expectation import Expectation
from deployments.backfill.model import Wanted, artifact_of
from deployments.cluster.precision_choice import bf16_of
from deployments.config.base import Profile
from models.catalog.catalog import Catalog
from models.catalog.model_spec import ModelSpec
from models.catalog.record import is_synthetic
from models.catalog.store import kept_artifact
from models.errors import EmbedserveError


@dataclass(frozen=True)
class Identity:
    """A version and its artifact."""

    spec: ModelSpec  # of the version, by whose name rows are known
    artifact: str  # name@version of the catalogue whose files are opened; another one where `precision: auto` chose it
    hash: str
    synthetic: bool


def on_this_machine(reference: str, profile: Profile, live: Expectation | None) -> Identity:
    """The artifact that stands for a version here: its own, or the one that a live service has under its name.

    Args:
        reference: the version.
        profile: of the job.
        live: what the service computes; None where nobody asked one.

    Raises:
        EmbedserveError: there is none.
    """
    spec = Catalog.load().find(reference)
    own = artifact_of(Wanted(reference, profile))
    if live is not None and live.hash not in (None, own.hash):
        for other in _stand_ins(spec):
            if other.hash == live.hash:
                return Identity(spec, other.artifact, other.hash, other.synthetic)
    return Identity(spec, reference, own.hash, is_synthetic(own))


def _stand_ins(spec: ModelSpec) -> Iterator[Identity]:
    """The other artifacts that a version may have: those on this machine, and the one that ``precision: auto`` builds."""
    catalog = Catalog.load()
    for other in catalog.specs():
        if other.reference == spec.reference or (other.type, other.dimensions) != (spec.type, spec.dimensions):
            continue
        if (kept := kept_artifact(other)) is not None:
            yield Identity(other, other.reference, kept.hash, is_synthetic(kept))
    faster = bf16_of(spec, catalog)
    if faster is not None and kept_artifact(faster) is None:
        try:
            built = artifact_of(Wanted(faster.reference, "development"))
        except EmbedserveError:  # then it cannot be the one
            return
        yield Identity(faster, faster.reference, built.hash, is_synthetic(built))

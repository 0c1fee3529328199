"""The model of a job on one machine: opened once by each process, and the same that the service opens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from deployments.config.base import Profile
from deployments.config.encoder import EncoderConfig
from deployments.config.limits import EncoderLimits
from deployments.encoder.device import options_here, prove
from models.catalog.artifact import Artifact
from models.catalog.catalog import Catalog
from models.catalog.record import is_synthetic
from models.catalog.store import pull
from models.embedder import open_embedder
from models.engine.session import EngineOptions
from models.errors import ArtifactError
from models.modalities.base import Embedder, Preparation


@dataclass(frozen=True)
class Wanted:
    """Which model a job uses."""

    reference: str
    profile: Profile
    hash: str | None = None  # of its artifact; None: whatever the store has


def artifact_of(wanted: Wanted) -> Artifact:
    """Its files on this machine, fetched where they are missing.

    Raises:
        ArtifactError: there are none, or they are others than wanted.
        ModelNotFoundError: the catalogue has no such version.
    """
    artifact = pull(Catalog.load().find(wanted.reference), allow_synthetic=wanted.profile == "development")
    if wanted.profile == "production" and is_synthetic(artifact):
        raise ArtifactError(f"{wanted.reference} has synthetic weights, which the production profile refuses")
    if wanted.hash is not None and artifact.hash != wanted.hash:
        raise ArtifactError(
            f"{wanted.reference} has content hash {artifact.hash} here, and the job needs {wanted.hash}; "
            f"`embedserve models pull {wanted.reference}` fetches what the catalogue names"
        )
    return artifact


@cache
def preparation(wanted: Wanted) -> Preparation:
    """What turns its inputs into rows, without its graph, which stays unloaded."""
    artifact = artifact_of(wanted)
    lazy = artifact.spec.modality.open(artifact, EngineOptions(lazy=True))
    return lazy.preparation(EncoderLimits())


@cache
def open_model(wanted: Wanted, cpus: int, gpus: float) -> Embedder:
    """Load it as an encoder of the service would, once in a process.

    Args:
        wanted: the model.
        cpus: threads to compute on.
        gpus: how many cards, or what part of one, Ray gave to this process.

    Raises:
        ArtifactError: it does not load, or in production not where it was asked to.
    """
    artifact = artifact_of(wanted)
    config = EncoderConfig(artifact=wanted.reference, threads=cpus, spare_session=False)
    options = options_here(config, artifact, gpus)
    if (
        options.on_cpu
    ):  # there are always rows for every thread, which then never wait for each other: an eighth less time
        options = replace(options, parallelism="inputs")
    embedder = open_embedder(artifact, options)
    prove(embedder, config, wanted.profile)
    return embedder


def numerics_of(embedder: Embedder) -> str:
    """The class of what computes its vectors."""
    return embedder.engine.numerics(embedder.artifact.spec.precision)

"""What a command checks before it acts: artifacts on this machine, versions on the service."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from deployments.operator.served import Entry
from models.catalog.artifact import Artifact, open_artifact, with_shrinking
from models.catalog.catalog import Catalog
from models.catalog.download import Reporter
from models.catalog.model_spec import ModelSpec
from models.catalog.paths import found_path
from models.catalog.record import is_synthetic
from models.catalog.store import pull
from models.embedder import open_embedder, probe
from models.errors import ArtifactError, UnavailableError
from models.verify import verify


def artifact_name(model: str, to: str) -> str:
    """What ``--to`` means: a version of the same model, ``name@version``, or the path of a graph.

    Raises:
        ModelNotFoundError: ``name@version`` is not in the catalogue.
    """
    catalog = Catalog.load()
    if "@" in to:
        return catalog.find(to).reference
    if to in catalog.models.get(model, {}):
        return f"{model}@{to}"
    here = Path(to).expanduser()
    return str(here.absolute()) if here.is_file() else to


def artifact_hash(
    reference: str, artifact: str, profile: str, reporter: Reporter, shrink_margin: int | None = None
) -> str:
    """Get an artifact, prove that it embeds on this machine, and return the hash that it will be served under.

    Args:
        reference: the version that is to serve it.
        artifact: ``name@version`` of the catalogue, or the path of a graph.
        profile: of the service.
        reporter: told about downloads and builds.
        shrink_margin: what the version's ``user_config`` says of it.

    Raises:
        EmbedserveError: it cannot be had, has another type or size than the version, or does not embed.
    """
    catalog = Catalog.load()
    label = catalog.find(reference)
    if "@" in artifact:
        return with_shrinking(_pulled(label, catalog.find(artifact), profile, reporter), shrink_margin).hash
    path = found_path(artifact)
    if not path.is_file():
        known = ", ".join(catalog.models.get(label.model, {}))
        raise ArtifactError(
            f"{artifact!r} is neither a version of {label.model} ({known}) nor a file on this machine; "
            "--no-check leaves the check to the cluster's nodes"
        )
    opened = open_artifact(label, path)
    if is_synthetic(opened) and profile == "production":
        raise ArtifactError(f"{path.name} has synthetic weights, which the production profile refuses")
    probe(open_embedder(opened))
    return with_shrinking(opened, shrink_margin).hash


def _pulled(label: ModelSpec, spec: ModelSpec, profile: str, reporter: Reporter) -> Artifact:
    if (spec.type, spec.dimensions) != (label.type, label.dimensions):
        raise ArtifactError(
            f"{spec.reference} is {spec.type} with {spec.dimensions} dimensions; {label.reference} is {label.type} with "
            f"{label.dimensions}: `embedserve add {spec.reference}` gives it a version of its own"
        )
    opened = pull(spec, allow_synthetic=profile == "development", reporter=reporter)
    for check in verify(spec):
        if not check.passed:
            raise ArtifactError(f"{spec.reference} fails the check {check.name!r}: {check.detail}")
    return opened


def require_ready(entries: Iterable[Entry], references: Iterable[str]) -> None:
    """Refuse to send traffic to versions that have no ready replica.

    Raises:
        UnavailableError: names the version, its state and why.
    """
    said = {entry["id"]: entry for entry in entries}
    for reference in references:
        entry = said.get(reference)
        state = entry["state"] if entry else "not known to the gateway"
        if entry is None or state != "ready" or not entry.get("replicas"):
            reason = (entry or {}).get("reason") or f"it has {(entry or {}).get('replicas') or 0} replicas"
            raise UnavailableError(f"{reference} is {state} ({reason}): traffic to it would fail; nothing was changed")

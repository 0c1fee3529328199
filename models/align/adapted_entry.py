"""The catalogue entry of a version whose vectors are mapped into another's space, and the file of its map."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from safetensors.numpy import save

from models.catalog.artifact import Artifact
from models.catalog.custom import require_reference
from models.catalog.map_file import ENDING, FOLDER
from models.catalog.model_spec import VERSION, ModelSpec
from models.catalog.paths import resolve_path
from models.catalog.record import is_synthetic
from models.catalog.source_entry import Adapted, FileSource
from models.errors import ArtifactError
from models.files import write_whole
from models.graph.space_map import SpaceMap


@dataclass(frozen=True)
class AdaptedEntry:
    """An entry, and what its map's file holds."""

    spec: ModelSpec
    content: bytes

    def write_map(self) -> None:
        """Write the map's file where the entry says it is."""
        assert self.spec.adapted is not None
        source = self.spec.adapted.source
        assert isinstance(source, FileSource)
        path = resolve_path(f"{source.folder}/{next(iter(source.files))}")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, self.content)


def adapted_reference(new: ModelSpec, old: ModelSpec) -> str:
    """``NEW@V-in-OLD@V`` as a version can be called: one of the model whose traffic it is to take.

    Raises:
        ArtifactError: no version can have that name.
    """
    own = new.version if new.model == old.model else f"{new.model}-{new.version}"
    version = f"{own}-in-{old.version}"
    if not VERSION.fullmatch(version):
        raise ArtifactError(
            f"{version!r} is longer than a version's name can be (24 characters): say --as {old.model}@VERSION"
        )
    return f"{old.model}@{version}"


def require_alignable(new: ModelSpec, old: ModelSpec) -> None:
    """Refuse pairs of versions between which there can be no map.

    Raises:
        ArtifactError: says why.
    """
    for spec in (new, old):
        if spec.adapted is not None:
            raise ArtifactError(
                f"{spec.reference} is mapped into the space of {spec.adapted.to} already: name the version that it is made of, "
                "or that one"
            )
        if spec.config.get("normalize", True) is False:
            raise ArtifactError(f"{spec.reference} gives vectors of any length; maps are fitted to vectors of length 1")
    if new.type != old.type:
        raise ArtifactError(
            f"{new.reference} embeds {new.modality.noun}, {old.reference} {old.modality.noun}: both must embed the same inputs"
        )


def require_meaning(new: Artifact, old: Artifact) -> None:
    """Refuse artifacts whose vectors mean nothing, or the same.

    Raises:
        ArtifactError: says which.
    """
    for artifact in (new, old):
        if is_synthetic(artifact):
            raise ArtifactError(
                f"{artifact.spec.reference} has random weights: its vectors mean nothing, mapped or not"
            )
    if new.hash == old.hash:
        raise ArtifactError(
            f"{new.spec.reference} and {old.spec.reference} are the same artifact: there is nothing to map"
        )


def adapted_entry(new: Artifact, old: Artifact, reference: str, mapping: SpaceMap, method: str) -> AdaptedEntry:
    """The entry of ``new`` behind a map into the space of ``old``: the same files, and the map's beside them.

    Args:
        new: whose vectors are mapped.
        old: whose index they are to be asked with.
        reference: ``NAME@VERSION`` to serve it under.
        mapping: of the one space into the other.
        method: how it was fitted, for readers of the catalogue.

    Raises:
        ArtifactError: ``reference`` is none that a version can have.
    """
    model, version = require_reference(reference)
    content = save(mapping.tensors())
    name = f"{model}-{version}"
    source = FileSource(folder=FOLDER, files={f"{name}{ENDING}": hashlib.sha256(content).hexdigest()})
    changes = {
        "model": model,
        "version": version,
        "name": f"{new.spec.name}-in-{old.spec.name}",
        "path": f"./models/store/{name}.onnx",
        "dimensions": mapping.outputs,
        "golden": None,
        "hash": None,
        "adapted": Adapted(to=old.spec.reference, hash=old.hash, source=source, method=method),
    }
    return AdaptedEntry(ModelSpec.model_validate({**dict(new.spec), **changes}), content)

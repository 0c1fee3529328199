"""Users' own models: what a folder holds, and how it gets into the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from models.catalog.artifact import file_sha256
from models.catalog.catalog import Catalog, FileSource, ModelSpec, require_name, require_version
from models.catalog.families import family_of
from models.catalog.folder import pooling_of, read_json, require_known_modules
from models.catalog.picture_graph import graph_entry
from models.engine.engine import Engine
from models.errors import ArtifactError, CatalogError
from models.files import FileChangedError, replacing
from models.graph.precision import precision_of
from models.inputs.text import pad
from models.modalities import MODALITIES, graph_inputs, modality_of_graph, text
from models.yaml_edit import edit

WEIGHTS = ("model.safetensors", "config.json")

Tower = Literal["image", "text"]  # of a whole CLIP


def describe_folder(reference: str, origin: Path, precision: str = "fp32", tower: Tower = "image") -> ModelSpec:
    """The catalogue entry of a sentence-transformers or CLIP folder, or of an ONNX file with its tokenizer.

    Args:
        reference: ``NAME@VERSION`` to serve it under.
        origin: the folder or the ``.onnx`` file.
        precision: ``fp32``, ``fp16`` or ``int8``.
        tower: which half of a whole CLIP to take.

    Raises:
        ArtifactError: the folder holds nothing that can be served; the message says what was expected.
    """
    model, _, version = reference.partition("@")
    if not model or not version:
        raise ArtifactError(f"{reference!r} must be NAME@VERSION")
    try:
        require_name(model)
        require_version(model, version)
    except ValueError as error:
        raise ArtifactError(f"{reference!r:.80} must be NAME@VERSION: {error}") from None
    folder = origin.parent if origin.suffix == ".onnx" else origin
    if precision_of(precision).rewrite is None and origin.suffix == ".onnx" and precision != "fp32":
        raise ArtifactError(f"{origin.name} is a finished graph: it can be taken as it is (fp32) or quantised (int8)")
    entry = _onnx_entry(origin) if origin.suffix == ".onnx" else _weights_entry(folder, tower)
    names = entry.pop("files")
    source = FileSource(folder=str(folder.resolve()), files={name: file_sha256(folder / name) for name in names})
    path = f"./models/store/{model}-{version}.onnx"
    return ModelSpec(
        model=model,
        version=version,
        name=f"{model}-{version}",
        path=path,
        precision=precision,
        sources=[source],
        **entry,
    )


def _weights_entry(folder: Path, tower: Tower) -> dict[str, Any]:
    missing = [name for name in WEIGHTS if not (folder / name).is_file()]
    if missing:
        raise ArtifactError(f"{folder} lacks {', '.join(missing)}; pickled weights (.bin) are not loaded")
    require_known_modules(folder)
    config = read_json(folder / "config.json")
    family = family_of(config, tower if config.get("model_type") == "clip" else None)
    names: tuple[str, ...] = WEIGHTS
    if MODALITIES[family.modality].has_tokenizer:
        names = (*WEIGHTS, "tokenizer.json")
        if not (folder / "tokenizer.json").is_file():
            raise ArtifactError(f"{folder} lacks tokenizer.json")
    try:
        settings, dimensions = family.settings(config, folder), family.dimensions(config)
    except KeyError as error:
        raise ArtifactError(
            f"{folder / 'config.json'} lacks {error}, which every {family.modality} model has"
        ) from error
    return {"type": family.modality, "dimensions": dimensions, "config": settings, "files": names}


def _onnx_entry(path: Path) -> dict[str, Any]:
    """The catalogue entry of a finished graph; its dimensions are found by running it once."""
    if path.with_name(path.name + "_data").is_file() or path.with_name(path.name + ".data").is_file():
        raise ArtifactError(f"{path.name} keeps its weights in another file; save it as one file")
    folder = path.parent
    engine = Engine(path, buckets=text.buckets)  # its shapes are used on a card only
    modality = modality_of_graph(engine.inputs)
    if modality is None:
        raise ArtifactError(f"{path.name} has inputs {sorted(engine.inputs)}; {graph_inputs()}")
    if modality.name == "image":
        return {"files": (path.name,), **graph_entry(path, engine)}
    if not (folder / "tokenizer.json").is_file():
        raise ArtifactError(f"{folder} lacks tokenizer.json, which {path.name} needs")
    pooling = pooling_of(folder)
    vector = text.run_padded(engine, *pad([np.ones(2, np.int32)]), pooling)
    length = read_json(folder / "sentence_bert_config.json").get("max_seq_length")
    length = length or read_json(folder / "config.json").get("max_position_embeddings", 512)
    settings = {"max_sequence_length": length, "pooling": pooling}
    files = (path.name, "tokenizer.json")
    return {"type": "text", "dimensions": vector.shape[1], "config": settings, "files": files}


def require_new(path: Path, reference: str) -> None:
    """Refuse a reference that is already in a catalogue file.

    Raises:
        CatalogError: the reference is there, or the file is no catalogue.
    """
    model, _, version = reference.partition("@")
    if version in Catalog.load(path).models.get(model, {}):
        raise CatalogError(f"{reference} is in the catalogue already; versions do not change, add another")


def add_entry(path: Path, spec: ModelSpec) -> None:
    """Add an entry to a catalogue file, as the last version of its model; comments and order stay.

    Raises:
        CatalogError: the version exists, the changed file would not be a valid catalogue, or somebody else changed it.
    """
    before = path.read_bytes()
    require_new(path, spec.reference)
    fields = spec.model_dump(mode="json", exclude={"model", "version"}, exclude_none=True)
    text = before.decode()
    document = yaml.safe_load(text)
    document["models"].setdefault(spec.model, {})[DoubleQuotedScalarString(spec.version)] = (
        fields  # quoted as all others
    )
    edited = edit(text, document)
    if edited is None:
        raise CatalogError(f"the layout of {path} does not allow to add {spec.reference} to it; write it there by hand")
    try:
        with replacing(path, before=before) as trial:
            trial.write_text(edited, encoding="utf-8")
            Catalog.load(trial)
    except FileChangedError as error:
        raise CatalogError(f"{error}; {spec.reference} is built and not yet in it: run the command again") from None
    except OSError as error:
        raise CatalogError(f"cannot write the catalogue {path}: {error.strerror}") from error

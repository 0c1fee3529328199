"""Users' own models: what a folder holds, and how it gets into the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import ValidationError

from models.catalog.build import CONFIG, config_name, encoder_config
from models.catalog.config_keys import require_known
from models.catalog.families import family_of, has_towers
from models.catalog.folder import Fact, ModelFolder, Wishes
from models.catalog.model_spec import ModelSpec, require_name, require_version
from models.catalog.modules import transformer_path
from models.catalog.picture_graph import graph_entry
from models.catalog.source_entry import FileSource
from models.catalog.text_onnx import root_of, text_onnx_entry
from models.catalog.weights import weight_files
from models.engine.engine import Engine
from models.errors import ArtifactError
from models.file_digest import file_sha256
from models.graph.onnx_file import contents
from models.graph.precision import precision_of
from models.modalities import MODALITIES, graph_inputs, modality_of_graph, text_graph
from models.validation import describe

ONNX_FILES = ("model.onnx", "onnx/model.onnx")  # in a folder without weights that a graph is built from
PRECISION_OF_FINISHED = "is a finished graph: it can be taken as it is (fp32), computed in bf16, or quantised (int8)"

Tower = Literal["image", "text"]  # of a whole CLIP


@dataclass(frozen=True)
class Described:
    """A model of somebody's own: its entry, and what was read from which file."""

    spec: ModelSpec
    facts: list[Fact]


def describe_folder(
    reference: str, origin: Path, precision: str = "fp32", tower: Tower = "image", wishes: Wishes | None = None
) -> ModelSpec:
    """The catalogue entry alone; see ``described``."""
    return described(reference, origin, precision, tower, wishes).spec


def described(
    reference: str,
    origin: Path,
    precision: str = "fp32",
    tower: Tower = "image",
    wishes: Wishes | None = None,
    variant: str | None = None,
) -> Described:
    """The catalogue entry of a sentence-transformers or CLIP folder, or of an ONNX file with its tokenizer.

    Args:
        reference: ``NAME@VERSION`` to serve it under.
        origin: the folder or the ``.onnx`` file.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
        tower: which half of a whole CLIP to take.
        wishes: what the owner says beside the files.
        variant: of the graph; None for the usual one.

    Raises:
        ArtifactError: the folder holds nothing that can be served; the message says what was expected.
    """
    model, version = require_reference(reference)
    precision_of(precision)
    try:
        folder, entry = _entry(origin, precision, tower, wishes or Wishes())
    except (
        KeyError,
        TypeError,
        ValueError,
        ArithmeticError,
        AttributeError,
        RecursionError,
    ) as error:  # files of any content
        raise ArtifactError(
            f"{origin}: its files are not what they should be ({type(error).__name__}: {str(error)[:160]})"
        ) from error
    names = entry.pop("files")
    files = {name: file_sha256(folder.path / name) for name in names}
    try:
        spec = ModelSpec(
            model=model,
            version=version,
            name=f"{model}-{version}",
            path=f"./models/store/{model}-{version}.onnx",
            precision=precision,
            variant=variant,
            sources=[FileSource(folder=str(folder.path.resolve()), files=files)],
            **entry,
        )
    except ValidationError as error:
        raise ArtifactError(f"the JSON files of {origin} ask for what no entry can say: {describe(error)}") from error
    return Described(spec, folder.facts)


def require_reference(reference: str) -> tuple[str, str]:
    """Name and version of ``NAME@VERSION``.

    Raises:
        ArtifactError: they are none that a version can have.
    """
    model, _, version = reference.partition("@")
    if not model or not version:
        raise ArtifactError(f"{reference!r:.80} must be NAME@VERSION")
    try:
        require_name(model)
        require_version(model, version)
    except ValueError as error:
        raise ArtifactError(f"{reference!r:.80} must be NAME@VERSION: {error}") from None
    return model, version


def _entry(origin: Path, precision: str, tower: Tower, wishes: Wishes) -> tuple[ModelFolder, dict[str, Any]]:
    if origin.suffix == ".onnx":
        if not origin.is_file():
            raise ArtifactError(f"{origin} is no file")
        finished: Path | None = origin
    elif not origin.is_dir():
        raise ArtifactError(f"{origin} is neither a folder nor an .onnx file")
    else:
        finished = _finished_in(origin, tower)
    if finished is None:
        folder = ModelFolder(origin, wishes)
        require_no_adapter(folder)
        return folder, _weights_entry(folder, tower)
    if precision_of(precision).rewrite is None and precision != "fp32":
        raise ArtifactError(f"{finished.name} {PRECISION_OF_FINISHED}")
    folder = ModelFolder(root_of(finished), wishes)
    require_no_adapter(folder)
    return folder, _onnx_entry(finished, folder)


def require_no_adapter(folder: ModelFolder) -> None:
    """Refuse weights that are only a difference to others.

    Raises:
        ArtifactError: they are.
    """
    if (folder.path / "adapter_config.json").exists():
        raise ArtifactError(
            "adapter_config.json: an adapter is not applied; merge it into the model (merge_and_unload)"
        )


def _finished_in(folder: Path, tower: Tower) -> Path | None:
    """The ONNX file of a folder that has no weights for which a graph is built."""
    candidates = [folder / name for name in ONNX_FILES if (folder / name).is_file()]
    encoder = folder / transformer_path(folder)
    if not candidates or not weight_files(encoder):
        return candidates[0] if candidates else None
    config = encoder_config(encoder)
    try:
        family_of(config, tower if has_towers(config) else None)
    except ArtifactError:
        return candidates[0]
    return None


def _weights_entry(folder: ModelFolder, tower: Tower) -> dict[str, Any]:
    place = transformer_path(folder.path)
    encoder = folder.path / place
    weights, name = weight_files(encoder), config_name(encoder)
    missing = [
        file for file, there in (("model.safetensors", weights), (CONFIG, (encoder / name).is_file())) if not there
    ]
    if missing:
        raise ArtifactError(f"{encoder} lacks {', '.join(missing)}; pickled weights (.bin) are not loaded")
    config = encoder_config(encoder)
    family = family_of(config, tower if has_towers(config) else None)
    if family.config_keys:
        require_known(config, family.config_keys)
    names = [*weights, name]
    if MODALITIES[family.modality].has_tokenizer:
        tokenizer = family.tokenizer_file(ModelFolder(encoder))
        if not (encoder / tokenizer).is_file():
            raise ArtifactError(f"{encoder} lacks {tokenizer}")
        names.append(tokenizer)
    names = [str(PurePosixPath(place) / name) for name in names]
    try:
        settings = family.settings(config, folder)
        dense = [f"{layer['weights']}/model.safetensors" for layer in settings.get("dense", ())]
        dimensions = family.dimensions(config, settings)
    except KeyError as error:
        raise ArtifactError(f"{encoder / name} lacks {error}, which every {family.modality} model has") from error
    return {"type": family.modality, "dimensions": dimensions, "config": settings, "files": [*names, *dense]}


def _onnx_entry(path: Path, folder: ModelFolder) -> dict[str, Any]:
    """The catalogue entry of a finished graph; its dimensions are found by running it once."""
    if contents(path).external or any(path.with_name(path.name + end).is_file() for end in ("_data", ".data")):
        raise ArtifactError(f"{path.name} keeps its weights in another file; save it as one file")
    engine = Engine(path, buckets=text_graph.buckets)  # its shapes are used on a card only
    modality = modality_of_graph(engine.inputs)
    if modality is None:
        raise ArtifactError(f"{path.name} has inputs {sorted(engine.inputs)}; {graph_inputs()}")
    if modality.name == "text":
        return text_onnx_entry(path, engine, folder)
    return {"files": [str(path.relative_to(folder.path))], **graph_entry(path, engine, folder)}

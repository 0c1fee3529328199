"""Weights → serving graph: finds the architecture of a folder of weights and builds its graph in a given precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import onnx
from safetensors.numpy import load_file

from models.catalog.catalog import ModelSpec
from models.catalog.families import FAMILIES
from models.catalog.fields import read_json
from models.errors import ArtifactError
from models.graph import clip_text, synthetic, vision
from models.graph.calibration import Calibration
from models.graph.linear import Linear, Weights
from models.graph.precision import precision_of

REVISION = 3  # of the graphs; artifacts that another revision built are built again
RANDOM: dict[str, Callable[[Linear], onnx.ModelProto]] = {
    "clip-vision": lambda linear: vision.build(vision.ClipVisionConfig(), synthetic.clip_vision(), linear),
    "clip-text": lambda linear: clip_text.build(clip_text.ClipTextConfig(), synthetic.clip_text(), linear),
}


def recipe(spec: ModelSpec) -> str:
    """Everything but the sources that decides a graph. Stored beside the graph: when it differs, the graph is rebuilt."""
    return f"{REVISION}/{spec.precision}/{spec.calibration or '-'}"


def build_random(spec: ModelSpec, architecture: str) -> onnx.ModelProto:
    """Build a graph with seeded random weights; a label in the file says that they are random."""
    model = RANDOM[architecture](linear_for(spec))
    model.metadata_props.add(key="embedserve.weights", value="synthetic")
    return model


def linear_for(spec: ModelSpec) -> Linear:
    """How the products of a version are computed: by its precision, with its calibration where it names one."""
    calibration = Calibration.load(spec.calibration) if spec.calibration else None
    return precision_of(spec.precision).linear(calibration)


def build_weights(spec: ModelSpec, files: dict[str, Path]) -> onnx.ModelProto:
    """Build the serving graph of safetensors weights.

    Args:
        spec: the catalogue entry.
        files: of its source, by their names there.

    Raises:
        ArtifactError: no family builds this architecture, or weights are missing.
    """
    config = read_json(next(path for name, path in files.items() if PurePosixPath(name).name == "config.json"))
    weights = dense_weights(spec.config, files)
    layers = dense_folders(spec.config)
    for name, path in files.items():
        place = PurePosixPath(name)
        if place.suffix == ".safetensors" and str(place.parent) not in layers:
            weights |= load_weights(path)
    try:
        return build_graph(config, weights, linear_for(spec), spec.config, spec.type)
    except KeyError as error:
        raise ArtifactError(f"its files lack {error}, which the {spec.type} graph needs") from error
    except (ValueError, TypeError, IndexError) as error:  # of numpy: shapes that do not fit each other
        raise ArtifactError(f"its config.json and its weights do not fit each other: {error}") from error


def dense_weights(settings: dict[str, Any], files: dict[str, Path]) -> Weights:
    """The weights of the layers behind the pooling, each name after its layer's folder.

    Raises:
        ArtifactError: a file is missing, or does not load.
    """
    weights: Weights = {}
    for place in dense_folders(settings):
        path = files.get(f"{place}/model.safetensors")
        if path is None:
            raise ArtifactError(f"its source lists no {place}/model.safetensors, which config.dense names")
        weights |= {f"{place}/{name}": array for name, array in load_weights(path).items()}
    return weights


def dense_folders(settings: dict[str, Any]) -> list[str]:
    """The folders of the layers behind a text model's pooling, in their order."""
    return [layer["weights"] for layer in settings.get("dense", ())]


def load_weights(path: Path) -> Weights:
    """Weights by the names that the graphs use, float32.

    Raises:
        ArtifactError: it is no safetensors file.
    """
    try:
        arrays = load_file(path)
    except Exception as error:  # safetensors raises its own type, OSError and ValueError
        raise ArtifactError(f"its files do not load: {error}") from error
    return {name.removeprefix("bert."): array.astype("float32") for name, array in arrays.items()}


def build_graph(
    config: dict[str, Any],
    weights: Weights,
    linear: Linear,
    settings: dict[str, Any],
    modality: str | None = None,
) -> onnx.ModelProto:
    """Build the serving graph of an architecture.

    Args:
        config: the Hugging Face ``config.json``.
        weights: by the names that the graphs use, float32.
        linear: how the precision computes products.
        settings: ``config`` of the catalogue entry.
        modality: chooses a tower of a whole CLIP.

    Raises:
        ArtifactError: no family builds this architecture, or ``settings`` ask for something that the graph cannot do.
        KeyError: a weight is missing.
    """
    candidates = [family for family in FAMILIES if config.get("model_type") in family.model_types]
    for family in candidates:
        if modality in (None, family.modality) and (family.projection is None or family.projection in weights):
            return family.build(config, weights, linear, settings)
    known = dict.fromkeys(name for family in FAMILIES for name in family.model_types)
    raise ArtifactError(
        f"model_type is {config.get('model_type')!r}; graphs are built for {', '.join(known)} (CLIP with projection)"
    )

"""Weights → serving graph: which architecture a folder of weights is, and the graph of it in a given precision."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from safetensors.numpy import load_file

from models.catalog.catalog import ModelSpec
from models.catalog.families import FAMILIES
from models.errors import ArtifactError
from models.graph import clip_text, synthetic, vision
from models.graph.calibration import Calibration
from models.graph.linear import Linear, Weights
from models.graph.precision import precision_of

REVISION = 3  # of the graphs: a store built by another revision is built again
RANDOM: dict[str, Callable[[Linear], onnx.ModelProto]] = {
    "clip-vision": lambda linear: vision.build(vision.ClipVisionConfig(), synthetic.clip_vision(), linear),
    "clip-text": lambda linear: clip_text.build(clip_text.ClipTextConfig(), synthetic.clip_text(), linear),
}


def recipe(spec: ModelSpec) -> str:
    """What decides a graph besides its sources; kept beside it, to notice that it would come out differently now."""
    return f"{REVISION}/{spec.precision}/{spec.calibration or '-'}"


def build_random(spec: ModelSpec, architecture: str) -> onnx.ModelProto:
    """Build a graph with seeded random weights, labelled so in the file itself."""
    model = RANDOM[architecture](linear_for(spec))
    model.metadata_props.add(key="embedserve.weights", value="synthetic")
    return model


def linear_for(spec: ModelSpec) -> Linear:
    """The products of a version: its precision, with the calibration that ships for it."""
    calibration = Calibration.load(spec.calibration) if spec.calibration else None
    return precision_of(spec.precision).linear(calibration)


def build_weights(spec: ModelSpec, weights_path: Path, config_path: Path) -> onnx.ModelProto:
    """Build the serving graph of safetensors weights.

    Raises:
        ArtifactError: the architecture is not one of ours, or weights are missing.
    """
    try:
        config = json.loads(config_path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArtifactError(f"its files do not load: {error}") from error
    weights = load_weights(weights_path)
    try:
        return build_graph(config, weights, linear_for(spec), spec.config.get("pooling", "mean"), spec.type)
    except KeyError as error:
        raise ArtifactError(f"its files lack {error}, which the {spec.type} graph needs") from error


def load_weights(path: Path) -> Weights:
    """Weights by the names that the graphs use, float32.

    Raises:
        ArtifactError: no safetensors file.
    """
    try:
        arrays = load_file(path)
    except Exception as error:  # safetensors raises its own type, OSError and ValueError
        raise ArtifactError(f"its files do not load: {error}") from error
    return {name.removeprefix("bert."): array.astype("float32") for name, array in arrays.items()}


def build_graph(
    config: dict[str, Any], weights: Weights, linear: Linear, pooling: str = "mean", modality: str | None = None
) -> onnx.ModelProto:
    """Build the graph of a Hugging Face ``config.json`` and its weights; ``modality`` chooses a tower of a whole CLIP.

    Raises:
        ArtifactError: the architecture is not one of ours, or it pools in an unknown way.
        KeyError: a weight is missing.
    """
    settings = {"pooling": pooling}
    candidates = [family for family in FAMILIES if config.get("model_type") in family.model_types]
    for family in candidates:
        if modality in (None, family.modality) and (family.projection is None or family.projection in weights):
            return family.build(config, weights, linear, settings)
    known = dict.fromkeys(name for family in FAMILIES for name in family.model_types)
    raise ArtifactError(
        f"model_type is {config.get('model_type')!r}; graphs are built for {', '.join(known)} (CLIP with projection)"
    )

"""Weights → serving graph: finds the architecture of a folder of weights and builds its graph in a given precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import onnx

from models.catalog.exported import TYPES, weights_of
from models.catalog.families import FAMILIES
from models.catalog.fields import read_json
from models.catalog.model_spec import ModelSpec
from models.catalog.open_clip import CONFIG as OPEN_CLIP
from models.catalog.open_clip import MODEL_TYPE
from models.catalog.weights import SINGLE, read_file, read_weights
from models.errors import ArtifactError
from models.graph import clip_text, synthetic, vision
from models.graph.calibration import Calibration
from models.graph.linear import Linear, Weights
from models.graph.precision import precision_of
from models.graph.variants import VARIANTS

CONFIG = "config.json"
REVISION = 3  # of the graphs; artifacts that another revision built are built again
RANDOM: dict[str, Callable[[Linear], onnx.ModelProto]] = {
    "clip-vision": lambda linear: vision.build(vision.ClipVisionConfig(), synthetic.clip_vision(), linear),
    "clip-text": lambda linear: clip_text.build(clip_text.ClipTextConfig(), synthetic.clip_text(), linear),
}


def recipe(spec: ModelSpec) -> str:
    """Everything but the sources that decides a graph. Stored beside the graph: when it differs, the graph is rebuilt."""
    own = f"{REVISION}/{spec.precision}/{spec.calibration or '-'}{'' if spec.variant is None else f'/{spec.variant}'}"
    return own if spec.adapted is None else f"{own}/{next(iter(spec.adapted.source.files.values()))}"


def build_random(spec: ModelSpec, architecture: str) -> onnx.ModelProto:
    """Build a graph with seeded random weights; a label in the file says that they are random."""
    model = _varied(spec, RANDOM[architecture](linear_for(spec)))
    model.metadata_props.add(key="embedserve.weights", value="synthetic")
    return model


def _varied(spec: ModelSpec, model: onnx.ModelProto) -> onnx.ModelProto:
    return model if spec.variant is None else VARIANTS[spec.variant](model)


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
    layers = dense_folders(spec.config)
    encoder = {PurePosixPath(n).name: path for n, path in files.items() if str(PurePosixPath(n).parent) not in layers}
    config = read_json(encoder[CONFIG]) if CONFIG in encoder else open_clip_config(encoder[OPEN_CLIP])
    weights = dense_weights(spec.config, files) | {
        name.removeprefix("bert."): array for name, array in read_weights(encoder).items()
    }
    return _built(spec, config, weights)


def build_exported(spec: ModelSpec, model: onnx.ModelProto) -> onnx.ModelProto:
    """Build the serving graph of one of CLIP's towers, of its usual size, of the weights in a graph that PyTorch exported.

    Raises:
        ArtifactError: it is no such tower.
    """
    return _built(spec, {"model_type": TYPES[spec.type]}, weights_of(model))


def _built(spec: ModelSpec, config: dict[str, Any], weights: Weights) -> onnx.ModelProto:
    try:
        return _varied(spec, build_graph(config, weights, linear_for(spec), spec.config, spec.type))
    except KeyError as error:
        raise ArtifactError(f"its files lack {error}, which the {spec.type} graph needs") from error
    except (ValueError, TypeError, IndexError, ArithmeticError) as error:  # of numpy: shapes that do not fit each other
        raise ArtifactError(f"its config.json and its weights do not fit each other: {error}") from error


def config_name(folder: Path) -> str:
    """The name of the file that describes a folder's encoder: OpenCLIP's own where only that is there."""
    if (folder / OPEN_CLIP).is_file() and not ((folder / CONFIG).is_file() and (folder / SINGLE).is_file()):
        return OPEN_CLIP
    return CONFIG


def encoder_config(folder: Path) -> dict[str, Any]:
    """What that file says; its ``model_type`` tells the family.

    Raises:
        ArtifactError: it is damaged.
    """
    name = config_name(folder)
    return open_clip_config(folder / name) if name == OPEN_CLIP else read_json(folder / name)


def open_clip_config(path: Path) -> dict[str, Any]:
    """OpenCLIP's file, with a ``model_type`` of ours."""
    return {**read_json(path), "model_type": MODEL_TYPE}


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
    return {name.removeprefix("bert."): array for name, array in read_file(path).items()}


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

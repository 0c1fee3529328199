"""What follows a text encoder, with its weights."""

from __future__ import annotations

from typing import Any

from models.errors import ArtifactError
from models.graph.head import Dense, Head
from models.graph.linear import Weights
from models.modalities.text_config import TextConfig


def head_of(settings: dict[str, Any], weights: Weights) -> Head:
    """What follows the encoder, with the weights of its dense layers.

    Raises:
        ArtifactError: ``settings`` are no configuration of a text model, or weights do not fit them.
        KeyError: a weight is missing.
    """
    config = TextConfig.model_validate({"max_sequence_length": 1, **settings})
    layers = [_layer(layer.model_dump(), weights) for layer in config.dense]
    return Head(config.poolings, config.prompt_tokens, tuple(layers), config.truncate_dim, config.normalize)


def _layer(layer: dict[str, Any], weights: Weights) -> Dense:
    place = layer["weights"]
    weight = weights[f"{place}/linear.weight"]
    bias = weights[f"{place}/linear.bias"] if layer["bias"] else None
    shape = (layer["outputs"], layer["inputs"])
    if weight.shape != shape or (bias is not None and bias.shape != shape[:1]):
        raise ArtifactError(f"{place}: its weights are {weight.shape}, its config.json says {shape}")
    own = bool(layer["residual"]) and shape[0] != shape[1]
    wanted = {"linear.weight", *(["linear.bias"] if layer["bias"] else []), *(["residual.weight"] if own else [])}
    found = {name.removeprefix(f"{place}/") for name in weights if name.startswith(f"{place}/")}
    if found != wanted:
        raise ArtifactError(f"{place}: its weights are {sorted(found)}, its config.json asks for {sorted(wanted)}")
    residual: Any = layer["residual"]
    if own:
        residual = weights[f"{place}/residual.weight"]
    return Dense(weight, bias, layer["activation"], residual)

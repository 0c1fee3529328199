"""Serving graph of CLIP's vision tower: uint8 pixels in, unit vectors out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from models.graph.builder import GraphBuilder, Value
from models.graph.checks import require_heads, require_shapes
from models.graph.clip import clip_layer
from models.graph.layers import arrangement, first_row, layer_norm, project_rows, unit_rows
from models.graph.linear import Linear, Origin, Weights
from models.inputs.preparation import Preparation


@dataclass(frozen=True)
class ClipVisionConfig:
    """The fields of a CLIP vision ``config.json`` that the graph depends on."""

    layers: int = 12
    heads: int = 12
    hidden: int = 768
    inner: int = 3072
    image: int = 224
    patch: int = 32
    projection: int = 512
    epsilon: float = 1e-5
    activation: str = "quick_gelu"

    @classmethod
    def from_json(cls, config: dict[str, Any]) -> Self:
        """Read a Hugging Face CLIP ``config.json`` (whole model or vision part)."""
        vision = {**config, **config.get("vision_config", {})}
        return cls(
            layers=vision.get("num_hidden_layers", cls.layers),
            heads=vision.get("num_attention_heads", cls.heads),
            hidden=vision.get("hidden_size", cls.hidden),
            inner=vision.get("intermediate_size", cls.inner),
            image=vision.get("image_size", cls.image),
            patch=vision.get("patch_size", cls.patch),
            projection=config.get("projection_dim", vision.get("projection_dim", cls.projection)),
            epsilon=vision.get("layer_norm_eps", cls.epsilon),
            activation=vision.get("hidden_act", cls.activation),
        )

    @property
    def positions(self) -> int:
        """The number of patches, plus one for the class token."""
        return (self.image // self.patch) ** 2 + 1


def build(
    config: ClipVisionConfig, weights: Weights, linear: Linear, preparation: Preparation | None = None
) -> onnx.ModelProto:
    """Build the graph ``pixels`` uint8 [n, image, image, 3] → ``embedding`` float32 [n, projection].

    Computes the same as Hugging Face's ``CLIPVisionModelWithProjection`` in inference on normalised pixels, then
    normalises. ``weights`` are named as in that model's state dict. ``preparation`` says how pixels are scaled and
    normalised; None means CLIP's own.

    Raises:
        ArtifactError: the weights have other sizes than ``config`` says.
    """
    _require_sizes(config, weights)
    graph = GraphBuilder("vision_encoder", linear.dtype, standard=linear.standard)
    x = _patches(graph, config, weights, linear, preparation or Preparation.clip(config.image))
    shape = arrangement(graph, x)
    x = layer_norm(graph, x, weights, "vision_model.pre_layrnorm", config.epsilon)
    x = graph.op("Reshape", [x, graph.ints(-1, config.hidden)])
    for layer in range(config.layers):
        prefix = f"vision_model.encoder.layers.{layer}"
        x = clip_layer(
            graph, x, weights, prefix, config.heads, config.epsilon, linear, shape=shape, activation=config.activation
        )
    first = first_row(graph, graph.op("Reshape", [x, shape]))
    pooled = layer_norm(graph, first, weights, "vision_model.post_layernorm", config.epsilon)
    projected = project_rows(graph, pooled, "visual_projection.weight", weights)
    return graph.model(
        {"pixels": (TensorProto.UINT8, ["n", config.image, config.image, 3])},
        ("embedding", unit_rows(graph, projected), ["n", config.projection]),
        {"embedserve.output": "unit", "embedserve.precision": linear.precision},
    )


def _require_sizes(config: ClipVisionConfig, weights: Weights) -> None:
    require_heads(config.hidden, config.heads)
    stem = "vision_model.encoder.layers."
    shapes = {
        "vision_model.embeddings.patch_embedding.weight": (config.hidden, 3, config.patch, config.patch),
        "vision_model.embeddings.position_embedding.weight": (config.positions, config.hidden),
        "visual_projection.weight": (config.projection, config.hidden),
        **{f"{stem}{layer}.mlp.fc1.weight": (config.inner, config.hidden) for layer in range(config.layers)},
    }
    require_shapes(weights, shapes)


def _patches(
    graph: GraphBuilder, config: ClipVisionConfig, weights: Weights, linear: Linear, preparation: Preparation
) -> Value:
    """Pixels to [n, positions, hidden], with the class in front."""
    kernel = weights["vision_model.embeddings.patch_embedding.weight"]
    x, offset = patch_rows(graph, kernel, config.image, linear, preparation)
    positions = weights["vision_model.embeddings.position_embedding.weight"].copy()
    positions[1:] += offset.astype(np.float32)
    first = (weights["vision_model.embeddings.class_embedding"] + positions[0])[None, None]
    x = graph.op("Add", [x, graph.weight("positions", positions[1:])])
    count = graph.op("Shape", ["pixels"], start=0, end=1)
    classes = graph.op("Concat", [count, graph.ints(1, config.hidden)], axis=0)
    return graph.op("Concat", [graph.op("Expand", [graph.weight("class", first), classes]), x], axis=1)


def patch_rows(
    graph: GraphBuilder, weight: NDArray[np.float32], image: int, linear: Linear, preparation: Preparation
) -> tuple[Value, NDArray[np.float64]]:
    """Pixels to [n, patches, hidden]; the strided convolution is computed as a product over flattened patches.

    Args:
        graph: where the nodes go; its input ``pixels`` is uint8 [n, image, image, 3].
        weight: of the convolution, [hidden, 3, patch, patch].
        image: side of the pictures; what is left of it beside whole patches is not looked at.
        linear: how products are computed.
        preparation: how pixels are scaled and normalised.

    Returns:
        The rows, and what is still to be added to each, [hidden].
    """
    kernel = weight.astype(np.float64)
    hidden, _, patch, _ = kernel.shape
    side = image // patch
    mean, std = (np.array(v, np.float64)[None, :, None, None] for v in (preparation.mean, preparation.std))
    # (x · scale - mean) / std is linear, so it is part of the kernel, and no float image is ever stored. Only the division
    # by 255 is not: half precision would lose weights that are 255 times smaller.
    scaled = kernel * (preparation.scale * 255) / std
    matrix = scaled.transpose(2, 3, 1, 0).reshape(-1, hidden).astype(np.float32)
    pixels = "pixels"
    if side * patch < image:
        inner = [graph.ints(0, 0), graph.ints(side * patch, side * patch), graph.ints(1, 2)]
        pixels = graph.op("Slice", [pixels, *inner])
    grid = graph.op("Reshape", [pixels, graph.ints(-1, side, patch, side, patch * 3)])
    grid = graph.op("Transpose", [grid], perm=[0, 1, 3, 2, 4])
    flat = graph.op("Reshape", [grid, graph.ints(-1, patch * patch * 3)])
    x = linear(graph, flat, "patch_embedding", matrix, origin=Origin.PIXELS)
    x = graph.op("Reshape", [x, graph.ints(-1, side * side, hidden)])
    return x, -(kernel * mean / std).sum(axis=(1, 2, 3))

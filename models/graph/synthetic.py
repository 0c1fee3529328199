"""Seeded random weights of an exact architecture, for machines that reach no hub. Their vectors carry no meaning."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.graph.linear import Weights
from models.graph.vision import ClipVisionConfig

SEED = 20210105  # any constant: equal seeds give equal bytes on every machine


def clip_vision(config: ClipVisionConfig | None = None) -> Weights:
    """Weights of a CLIP vision tower, named as in ``CLIPVisionModelWithProjection``'s state dict.

    Standard deviations follow ``CLIPPreTrainedModel._init_weights``, so that activations have the size that a
    network has before training.
    """
    config = config or ClipVisionConfig()
    generator = np.random.Generator(np.random.PCG64(SEED))

    def normal(std: float, *shape: int) -> NDArray[np.float32]:
        return (generator.standard_normal(shape, dtype=np.float32) * np.float32(std)).astype(np.float32)

    hidden, inner = config.hidden, config.inner
    model = "vision_model."
    weights: Weights = {
        f"{model}embeddings.class_embedding": normal(hidden**-0.5, hidden),
        f"{model}embeddings.patch_embedding.weight": normal(0.02, hidden, 3, config.patch, config.patch),
        f"{model}embeddings.position_embedding.weight": normal(0.02, config.positions, hidden),
        "visual_projection.weight": normal(hidden**-0.5, config.projection, hidden),
    }
    depth = (2 * config.layers) ** -0.5
    for layer in range(config.layers):
        prefix = f"{model}encoder.layers.{layer}."
        for name in ("q_proj", "k_proj", "v_proj"):
            weights[f"{prefix}self_attn.{name}.weight"] = normal(hidden**-0.5 * depth, hidden, hidden)
        weights[f"{prefix}self_attn.out_proj.weight"] = normal(hidden**-0.5, hidden, hidden)
        weights[f"{prefix}mlp.fc1.weight"] = normal((2 * hidden) ** -0.5, inner, hidden)
        weights[f"{prefix}mlp.fc2.weight"] = normal(hidden**-0.5 * depth, hidden, inner)
        for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc2"):
            weights[f"{prefix}{name}.bias"] = np.zeros(hidden, np.float32)
        weights[f"{prefix}mlp.fc1.bias"] = np.zeros(inner, np.float32)
    norms = [f"{model}pre_layrnorm", f"{model}post_layernorm"]
    norms += [f"{model}encoder.layers.{i}.layer_norm{j}" for i in range(config.layers) for j in (1, 2)]
    for norm in norms:
        weights[f"{norm}.weight"] = np.ones(hidden, np.float32)
        weights[f"{norm}.bias"] = np.zeros(hidden, np.float32)
    return weights

"""Seeded random weights of an exact architecture, for machines that reach no hub. Their vectors mean nothing.

Standard deviations follow ``CLIPPreTrainedModel._init_weights``, so that activations are as large as in a network before
training.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.graph.clip_text import ClipTextConfig
from models.graph.linear import Weights
from models.graph.vision import ClipVisionConfig

SEED = 20210105  # any constant; it makes the bytes the same on every machine


class _Random:
    """Draws weights in a fixed order."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self.weights: Weights = {}

    def normal(self, name: str, std: float, *shape: int) -> None:
        values: NDArray[np.float32] = self._generator.standard_normal(shape, dtype=np.float32)
        self.weights[name] = (values * np.float32(std)).astype(np.float32)

    def norm(self, name: str, size: int) -> None:
        self.weights[f"{name}.weight"] = np.ones(size, np.float32)
        self.weights[f"{name}.bias"] = np.zeros(size, np.float32)

    def layers(self, model: str, count: int, hidden: int, inner: int) -> None:
        depth = (2 * count) ** -0.5
        for layer in range(count):
            prefix = f"{model}.encoder.layers.{layer}"
            for name in ("q_proj", "k_proj", "v_proj"):
                self.normal(f"{prefix}.self_attn.{name}.weight", hidden**-0.5 * depth, hidden, hidden)
            self.normal(f"{prefix}.self_attn.out_proj.weight", hidden**-0.5, hidden, hidden)
            self.normal(f"{prefix}.mlp.fc1.weight", (2 * hidden) ** -0.5, inner, hidden)
            self.normal(f"{prefix}.mlp.fc2.weight", hidden**-0.5 * depth, hidden, inner)
            for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc2"):
                self.weights[f"{prefix}.{name}.bias"] = np.zeros(hidden, np.float32)
            self.weights[f"{prefix}.mlp.fc1.bias"] = np.zeros(inner, np.float32)
            for norm in ("layer_norm1", "layer_norm2"):
                self.norm(f"{prefix}.{norm}", hidden)


def clip_vision(config: ClipVisionConfig | None = None) -> Weights:
    """Weights of a CLIP vision tower, named as in ``CLIPVisionModelWithProjection``'s state dict."""
    config = config or ClipVisionConfig()
    random, hidden, model = _Random(SEED), config.hidden, "vision_model"
    random.normal(f"{model}.embeddings.class_embedding", hidden**-0.5, hidden)
    random.normal(f"{model}.embeddings.patch_embedding.weight", 0.02, hidden, 3, config.patch, config.patch)
    random.normal(f"{model}.embeddings.position_embedding.weight", 0.02, config.positions, hidden)
    random.normal("visual_projection.weight", hidden**-0.5, config.projection, hidden)
    random.layers(model, config.layers, hidden, config.inner)
    for norm in (f"{model}.pre_layrnorm", f"{model}.post_layernorm"):
        random.norm(norm, hidden)
    return random.weights


def clip_text(config: ClipTextConfig | None = None) -> Weights:
    """Weights of a CLIP text tower, named as in ``CLIPTextModelWithProjection``'s state dict."""
    config = config or ClipTextConfig()
    random, hidden, model = _Random(SEED + 1), config.hidden, "text_model"
    random.normal(f"{model}.embeddings.token_embedding.weight", 0.02, config.vocabulary, hidden)
    random.normal(f"{model}.embeddings.position_embedding.weight", 0.02, config.positions, hidden)
    random.normal("text_projection.weight", hidden**-0.5, config.projection, hidden)
    random.layers(model, config.layers, hidden, config.inner)
    random.norm(f"{model}.final_layer_norm", hidden)
    return random.weights

"""OpenCLIP's folders: open_clip_config.json and the names of its weights, as those of transformers' CLIP."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.catalog.picture_files import checked
from models.catalog.picture_values import channels, refusal
from models.errors import ArtifactError
from models.graph.linear import Weights
from models.inputs.preparation import CLIP_MEAN, CLIP_STD, Preparation

CONFIG = "open_clip_config.json"
MODEL_TYPE = "open_clip"
# Keys of model_cfg that are read, by its parts; others have to be off, because they ask for another architecture.
READ = {
    "model_cfg": {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"},
    "vision_cfg": {"layers", "width", "head_width", "mlp_ratio", "patch_size", "image_size"},
    "text_cfg": {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"},
}
# Of others, what they say where they change nothing.
NEUTRAL: dict[str, dict[str, tuple[Any, ...]]] = {
    "model_cfg": {"init_logit_scale": (), "init_logit_bias": (), "nonscalar_logit_scale": (), "custom_text": (False,)},
    "vision_cfg": {"patch_dropout": (), "pool_type": ("tok",), "pos_embed_type": ("learnable",), "timm_drop": (),
                   "attn_pooler_queries": (), "attn_pooler_heads": (), "timm_pool": (), "timm_proj": (), "block_type": ("default",)},
    "text_cfg": {"pool_type": ("argmax",), "proj_type": ("linear",), "pad_id": (), "eos_id": (), "hf_tokenizer_name": (),
                 "hf_model_pretrained": (), "hf_proj_type": (), "hf_pooler_type": (), "block_type": ("default",)},
}  # fmt: skip
# Keys that the library knows, and that change nothing while they are off.
OPTIONAL = {
    "model_cfg": {"cast_dtype", "output_dict", "init_logit_bias"},
    "vision_cfg": {"act_kwargs", "attentional_pool", "final_ln_after_pool", "ls_init_value", "no_ln_pre", "norm_kwargs", "output_tokens",
                   "qk_norm", "scale_attn", "scale_attn_inner", "scale_fc", "scale_heads", "scaled_cosine_attn", "timm_drop_path",
                   "timm_model_name", "timm_model_pretrained", "timm_proj_bias"},
    "text_cfg": {"act_kwargs", "embed_cls", "final_ln_after_pool", "hf_model_name", "ls_init_value", "no_causal_mask", "norm_kwargs",
                 "output_tokens", "proj_bias", "qk_norm", "scale_attn", "scale_attn_inner", "scale_fc", "scale_heads",
                 "scaled_cosine_attn", "tokenizer_kwargs", "tokenizer_mode"},
}  # fmt: skip
HEAD_WIDTH = 64
MLP_RATIO = 4.0
OF_THE_LARGEST = 2  # as transformers' CLIP says it: the vector is that of the largest token id


def clip_config(config: dict[str, Any]) -> dict[str, Any]:
    """The same model as transformers' config.json of a CLIP describes it.

    Raises:
        ArtifactError: it is another architecture; the message names the key.
    """
    model = _part(config, "model_cfg")
    vision, text = _part(model, "vision_cfg"), _part(model, "text_cfg")
    activation = "quick_gelu" if model.get("quick_gelu") else "gelu"
    width = _whole(vision, "width", 768)
    return {
        "projection_dim": model["embed_dim"],
        "vision_config": {
            "num_hidden_layers": _whole(vision, "layers", 12),
            "num_attention_heads": width // _whole(vision, "head_width", HEAD_WIDTH),
            "hidden_size": width,
            "intermediate_size": int(width * vision.get("mlp_ratio", MLP_RATIO)),
            "image_size": _square(vision.get("image_size", 224)),
            "patch_size": _square(vision.get("patch_size", 16)),
            "hidden_act": activation,
        },
        "text_config": {
            "num_hidden_layers": _whole(text, "layers", 12),
            "num_attention_heads": _whole(text, "heads", 8),
            "hidden_size": _whole(text, "width", 512),
            "intermediate_size": int(_whole(text, "width", 512) * text.get("mlp_ratio", MLP_RATIO)),
            "eos_token_id": OF_THE_LARGEST,
            "vocab_size": _whole(text, "vocab_size", 49408),
            "max_position_embeddings": _whole(text, "context_length", 77),
            "hidden_act": activation,
        },
    }


def clip_weights(weights: Weights) -> Weights:
    """The same weights under transformers' names; its projections are the other way round, and three are in one."""
    renamed: Weights = {}
    for name, array in weights.items():
        if name.startswith("visual."):
            _add(renamed, "vision_model", name.removeprefix("visual."), array)
        else:
            _add(renamed, "text_model", name, array)
    return renamed


def open_clip_preparation(settings: dict[str, Any], side: int) -> Preparation:
    """The preparation of ``preprocess_cfg`` for squares of ``side`` pixels.

    Raises:
        ArtifactError: a key has a value that is not served, or is unknown.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    if unknown := sorted(set(given) - {"mean", "std", "interpolation", "resize_mode", "size", "mode", "fill_color"}):
        raise refusal(CONFIG, f"preprocess_cfg.{unknown[0]}", "is unknown; remove it if it changes no picture")
    if given.get("mode", "RGB") != "RGB":
        raise refusal(CONFIG, "preprocess_cfg.mode", f"is {given['mode']!r}, and has to be 'RGB'")
    interpolation = given.get("interpolation") or "bicubic"
    if interpolation not in ("bicubic", "bilinear", "random"):
        raise refusal(CONFIG, "preprocess_cfg.interpolation", f"is {interpolation!r}; served are bicubic and bilinear")
    mode = given.get("resize_mode") or "shortest"
    if mode not in ("shortest", "squash"):
        raise refusal(CONFIG, "preprocess_cfg.resize_mode", f"is {mode!r}; served are 'shortest' and 'squash'")
    framed: dict[str, Any] = {"short_side": side, "crop": side} if mode == "shortest" else {"exact": (side, side)}
    return checked(
        CONFIG,
        framed
        | {
            "resample": "bilinear" if interpolation == "bilinear" else "bicubic",
            "mean": channels(CONFIG, "preprocess_cfg.mean", given.get("mean") or CLIP_MEAN),
            "std": channels(CONFIG, "preprocess_cfg.std", given.get("std") or CLIP_STD),
            "pipeline": "torchvision",
        },
    )


def _part(document: dict[str, Any], key: str) -> dict[str, Any]:
    part = document.get(key)
    if not isinstance(part, dict):
        raise ArtifactError(f"{CONFIG}: {key} must be an object, {{...}}")
    for name, value in part.items():
        if name in READ[key] or (name in OPTIONAL[key] and (value is None or value is False)):
            continue
        allowed = NEUTRAL[key].get(name)
        if allowed is None or (allowed and value not in allowed):
            raise refusal(
                CONFIG, f"{key}.{name}", f"is {value!r}: this is another architecture than CLIP's own, and not served"
            )
    return part


def _whole(part: dict[str, Any], key: str, default: int) -> int:
    value = part.get(key, default)
    if type(value) is not int or value < 1:
        raise refusal(CONFIG, key, f"is {value!r:.60}, and has to be a whole number of at least 1")
    return value


def _square(value: Any) -> int:
    sides = value if isinstance(value, list) and len(value) == 2 else [value]
    if type(sides[0]) is not int or sides[0] != sides[-1]:
        raise refusal(CONFIG, "image_size, patch_size", f"is {value!r}; served are squares")
    return int(sides[0])


LAYER = {
    "ln_1.": "layer_norm1.",
    "ln_2.": "layer_norm2.",
    "attn.out_proj.": "self_attn.out_proj.",
    "mlp.c_fc.": "mlp.fc1.",
    "mlp.c_proj.": "mlp.fc2.",
}
PLAIN = {
    "class_embedding": "vision_model.embeddings.class_embedding",
    "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "ln_post.weight": "vision_model.post_layernorm.weight",
    "ln_post.bias": "vision_model.post_layernorm.bias",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
}


def _add(renamed: Weights, model: str, name: str, array: Any) -> None:
    if name.startswith("transformer.resblocks."):
        _, _, layer, rest = name.split(".", 3)
        stem = f"{model}.encoder.layers.{layer}"
        if rest.startswith("attn.in_proj_"):
            for part, piece in zip("qkv", np.split(array, 3), strict=True):
                renamed[f"{stem}.self_attn.{part}_proj.{rest.removeprefix('attn.in_proj_')}"] = piece
            return
        part = next((part for part in LAYER if rest.startswith(part)), "")
        renamed[f"{stem}.{LAYER.get(part, '')}{rest.removeprefix(part)}"] = array
    elif name == "positional_embedding":
        renamed[f"{model}.embeddings.position_embedding.weight"] = array
    elif name == "proj":
        renamed["visual_projection.weight"] = np.ascontiguousarray(array.T)
    elif name == "text_projection":
        renamed["text_projection.weight"] = np.ascontiguousarray(array.T)
    else:
        renamed[PLAIN.get(name, name)] = array

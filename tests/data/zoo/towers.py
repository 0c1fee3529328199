"""Mutations of the files that describe CLIP's, SigLIP's and OpenCLIP's towers."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.data.zoo.families import (
    CLIP,
    END,
    OPEN_CLIP,
    PICTURE_CASES,
    SIGLIP,
    TEXTS,
    dump,
    tokenizer,
    write_weights,
)

WORDS = [TEXTS[1], TEXTS[3], "w1 </s> w2"]  # the last one spells the end
WIDTH = 32  # of the rows that are kept, which shorter vectors leave empty
ADDED: dict[str, list[Any]] = {
    "hidden_act": ["relu", "gelu", "gelu_new"],
    "layer_norm_eps": [1e-3, 1e-12, 0, None],
    "attention_dropout": [0.3],
    "dropout": [0.3],
    "num_channels": [3, 1, 4],
    "vision_use_head": [True, False, None],
    "logit_scale_init_value": [1.0],
    "initializer_factor": [2.0],
    "projection_dim": [24, 32, None],
    "projection_size": [24, 32, None],
    "hidden_size": [64],
    "is_decoder": [False, True],
    "max_length": [5],
    "use_bfloat16": [False],
    "quantization_config": [{"quant_method": "bitsandbytes", "load_in_8bit": True}],
    "eos_token_id": [2, END, 5],
    "foo": [1],
}
ADDED_OPEN_CLIP: dict[str, list[Any]] = {
    "quick_gelu": [True],
    "mlp_ratio": [4.0, 2.0],
    "head_width": [8, 16],
    "heads": [2],
    "ls_init_value": [None, 0.1],
    "patch_dropout": [0.0, 0.5],
    "attentional_pool": [False, True],
    "global_average_pool": [False, True],
    "pool_type": ["tok", "avg", "none", "argmax", "first", "last", "eos"],
    "final_ln_after_pool": [False, True],
    "no_ln_pre": [False, True],
    "pos_embed_type": ["learnable", "sin_cos_2d"],
    "no_causal_mask": [False, True],
    "embed_cls": [False, True],
    "pad_id": [0, 1],
    "eos_id": [5],
    "proj_bias": [False, True],
    "proj_type": ["linear", "none"],
    "output_tokens": [False],
    "act_kwargs": [None],
    "norm_kwargs": [None, {"eps": 0.1}],
    "timm_model_name": [None, "vit_tiny_patch16_224"],
    "hf_model_name": [None],
    "cast_dtype": [None, "fp16"],
    "init_logit_scale": [1.0],
    "foo": [1],
}


@dataclass(frozen=True)
class Mutant:
    """A folder of both towers whose description is changed."""

    name: str
    whole: str  # of MODELS, whose weights it has
    config: dict[str, Any]

    def write(self, folder: Path) -> Path:
        """The folder."""
        folder.mkdir(parents=True)
        dump(folder, "tokenizer.json", tokenizer())
        dump(folder, "tokenizer_config.json", {"pad_token": "<pad>", "tokenizer_class": "PreTrainedTokenizerFast"})
        file = next(case.file for case in PICTURE_CASES if case.whole == self.whole)
        if self.whole == "open_clip":
            dump(folder, "open_clip_config.json", {"model_cfg": self.config, "preprocess_cfg": file})
            write_weights(self.whole, folder / "open_clip_model.safetensors")
        else:
            dump(folder, "config.json", self.config)
            dump(folder, "preprocessor_config.json", file)
            write_weights(self.whole, folder / "model.safetensors")
        return folder


def tower_mutations() -> Iterator[Mutant]:
    """Each key of the description and of its parts dropped, renamed and changed, and keys that it does not have."""
    for whole, config in (("clip", CLIP), ("siglip", SIGLIP)):
        yield from _changed(whole, config, whole, ADDED)
        for part in ("text_config", "vision_config"):
            yield Mutant(f"{whole}: {part} as {part}_dict", whole, {**config, f"{part}_dict": config[part]})
            yield Mutant(f"{whole}: {part}_dict null", whole, {**config, f"{part}_dict": None})
            other = {**config[part], "num_hidden_layers": 1}
            yield Mutant(f"{whole}: another {part}_dict", whole, {**config, f"{part}_dict": other})
        for kind, part in (("text", "text_config"), ("vision", "vision_config")):
            alone = {**config[part], "model_type": f"{whole}_{kind}_model"}
            alone |= {"projection_dim": 24} if whole == "clip" else {}
            yield from _changed(f"{whole}'s {kind} alone", alone, whole, ADDED)
    yield from _changed("open_clip", OPEN_CLIP, "open_clip", ADDED_OPEN_CLIP)


def _changed(name: str, config: dict[str, Any], whole: str, added: dict[str, list[Any]]) -> Iterator[Mutant]:
    yield Mutant(f"{name}: as it is", whole, deepcopy(config))
    for change, mutated in _mutated(config, added):
        yield Mutant(f"{name}: {change}", whole, deepcopy(mutated))


def _mutated(config: dict[str, Any], added: dict[str, list[Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, value in config.items():
        if key == "model_type":
            continue
        left = {k: v for k, v in config.items() if k != key}
        yield f"without {key}", left
        yield f"{key}s instead of {key}", {**left, f"{key}s": value}
        for other in _others(value):
            yield f"{key} {other!r:.40}", {**left, key: other}
        if isinstance(value, dict):
            for change, inner in _mutated(value, added):
                yield f"{key}.{change}", {**config, key: inner}
    for key, values in added.items():
        for value in values:
            if key not in config:
                yield f"{key} {value!r}", {**config, key: value}


def _others(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value, None, 0, "true"]
    if isinstance(value, int | float):
        return [value + 1, value - 1, value * 2, 0, -1, str(value), None, float(value), [value]]
    if isinstance(value, dict):
        return [{}, None, 3, "x"]
    return ["relu", "gelu", "gelu_new", "silu", "gelu_pytorch_tanh", None, 3]

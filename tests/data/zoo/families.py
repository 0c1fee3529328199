"""Tiny models of every family that is built from weights; their weights follow a formula, so that nobody has to keep them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tests.data.zoo.pictures import BASES

DATA = Path(__file__).parent
WORDS = [f"w{i}" for i in range(60)]
START, PADDING, UNKNOWN, END = 0, 1, 2, 63  # the end last, which is where OpenCLIP looks for it
VOCABULARY = {"<s>": START, "<pad>": PADDING, "<unk>": UNKNOWN, **{w: i + 3 for i, w in enumerate(WORDS)}, "</s>": END}
PICTURES = ("exif-1.jpg", "225x1000.jpg", "rgba.png", "p-alpha-table.png")
TEXTS = [
    "w1",
    "w2 w3 w4",
    " ".join(f"w{i * 7 % 60}" for i in range(30)),
    "w5 <pad> w6 w7",
    " ".join(f"w{i * i % 60}" for i in range(58)),
    " ".join(f"w{i * 11 % 60}" for i in range(200)),
]
LONGEST = 60  # tokens with start and end
BERT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "hidden_act": "gelu",
    "vocab_size": len(VOCABULARY),
    "max_position_embeddings": LONGEST + 2,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": PADDING,
}
MODERN = {
    "model_type": "modernbert",
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": len(VOCABULARY),
    "max_position_embeddings": LONGEST,
    "local_attention": 16,
    "norm_eps": 1e-5,
    "pad_token_id": PADDING,
}


@dataclass(frozen=True)
class Text:
    """A text encoder, pooled by the mean."""

    name: str
    config: dict[str, Any]
    prefix: str = ""  # of its weights' names in the file
    whole: str = ""  # the model of MODELS whose tower it is
    weights: str = ""  # the case whose weights it has, where that is another


TEXT_CASES = [
    Text("bert", {**BERT, "model_type": "bert", "max_position_embeddings": LONGEST, "type_vocab_size": 2}),
    Text("roberta", {**BERT, "model_type": "roberta"}),
    Text("roberta, of a model with a head", {**BERT, "model_type": "roberta"}, prefix="roberta."),
    Text("xlm-roberta", {**BERT, "model_type": "xlm-roberta", "layer_norm_eps": 1e-12}),
    Text("camembert", {**BERT, "model_type": "camembert"}),
    Text("mpnet", {**BERT, "model_type": "mpnet", "relative_attention_num_buckets": 32}),
    Text(
        "distilbert",
        {
            "model_type": "distilbert",
            "dim": 32,
            "n_layers": 2,
            "n_heads": 4,
            "hidden_dim": 48,
            "activation": "gelu",
            "vocab_size": len(VOCABULARY),
            "max_position_embeddings": LONGEST,
            "pad_token_id": PADDING,
        },
        prefix="distilbert.",
    ),
    Text("modernbert, older keys", {**MODERN, "global_attn_every_n_layers": 3, "global_rope_theta": 8000.0}),
    Text(
        "modernbert, newer keys",
        {
            **MODERN,
            "layer_types": ["sliding_attention", "full_attention", "full_attention", "sliding_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 5000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 700.0},
            },
        },
        prefix="model.",
    ),
    Text(
        "nomic_bert",
        {
            **{k: v for k, v in BERT.items() if k != "hidden_act"},
            "model_type": "nomic_bert",
            "type_vocab_size": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
        },
    ),
]


TOWER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
WORDS_OF_TOWER = {
    **TOWER,
    "vocab_size": len(VOCABULARY),
    "max_position_embeddings": LONGEST,
    "bos_token_id": START,
    "eos_token_id": END,
    "pad_token_id": PADDING,
}
CLIP = {
    "model_type": "clip",
    "projection_dim": 24,
    "text_config": {**WORDS_OF_TOWER, "hidden_act": "quick_gelu"},
    "vision_config": {**TOWER, "image_size": 24, "patch_size": 8, "hidden_act": "quick_gelu"},
}
CLIP_GELU = {
    **CLIP,
    "text_config": {**CLIP["text_config"], "hidden_act": "gelu"},
    "vision_config": {**CLIP["vision_config"], "hidden_act": "gelu"},
}
SIGLIP = {
    "model_type": "siglip",
    "text_config": {**WORDS_OF_TOWER, "projection_size": 24},
    "vision_config": {**TOWER, "image_size": 30, "patch_size": 8},
}
OPEN_CLIP = {
    "embed_dim": 24,
    "quick_gelu": False,
    "vision_cfg": {"image_size": 24, "layers": 2, "width": 32, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": LONGEST, "vocab_size": len(VOCABULARY), "width": 32, "heads": 4, "layers": 2},
}
OPEN_CLIP_QUICK = {**OPEN_CLIP, "quick_gelu": True}
MODELS: dict[str, dict[str, Any]] = {
    "clip": CLIP,
    "clip with gelu": CLIP_GELU,
    "siglip": SIGLIP,
    "open_clip": OPEN_CLIP,
    "open_clip with quick_gelu": OPEN_CLIP_QUICK,
}  # both towers in one folder
TOWER_CASES = [Text(f"{name}, texts", {}, whole=name) for name in MODELS]
SIGLIP_FILE = {
    "image_processor_type": "SiglipImageProcessor",
    "do_resize": True,
    "size": {"height": 30, "width": 30},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
}


@dataclass(frozen=True)
class Picture:
    """An encoder of pictures, and the file that prepares them."""

    whole: str  # of MODELS
    file: dict[str, Any]
    note: str = ""

    @property
    def name(self) -> str:
        """Unique among all cases."""
        return f"{self.whole}, pictures{self.note}"


PICTURE_CASES = [
    Picture("clip", BASES["clip"][1]),
    Picture("clip", {**BASES["clip"][1], "do_rescale": False, "image_mean": [110, 120, 130], "image_std": [60, 70, 50]}, " unscaled"),
    Picture("clip", {**BASES["mobilevit"][1], "resample": 0, "do_convert_rgb": True}, " in BGR"),
    Picture("clip with gelu", {**BASES["clip"][1], "image_mean": [0.5] * 3, "image_std": 0.5}),
    Picture("siglip", SIGLIP_FILE),
    Picture("open_clip", {"mean": [0.48, 0.45, 0.4], "std": [0.27, 0.26, 0.28], "interpolation": "bicubic", "resize_mode": "shortest"}),
    Picture("open_clip", {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "resize_mode": "squash"}, " squashed"),
    Picture("open_clip with quick_gelu", {}, " by default"),
]  # fmt: skip


ALIKE = ("roberta, of a model with a head", "camembert", "modernbert, newer keys")  # to another case
MUTATED = [case for case in TEXT_CASES if case.name not in ALIKE]
MUTATED_TEXTS = TEXTS[1:5:2]  # a short one, and one that spells the padding
# Keys that no case has, and that change what some library computes, or might.
ADDED: dict[str, list[Any]] = {
    "hidden_act": ["relu", "gelu_new", "gelu"],
    "hidden_activation": ["gelu", "relu", "silu"],
    "position_embedding_type": ["absolute", "relative_key"],
    "is_decoder": [True, False],
    "add_cross_attention": [True],
    "attention_bias": [True, False],
    "mlp_bias": [True],
    "norm_bias": [True],
    "head_dim": [4, 8],
    "rope_theta": [300.0],
    "local_rope_theta": [300.0],
    "rope_scaling": [{"rope_type": "linear", "factor": 2.0}],
    "rope_parameters": [{"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0}, {}],
    "sliding_window": [2],
    "attention_dropout": [0.3],
    "hidden_dropout_prob": [0.3],
    "initializer_range": [0.5],
    "tie_word_embeddings": [False],
    "pruned_heads": [{}, {"0": [1]}],
    "quantization_config": [{"quant_method": "bitsandbytes", "load_in_8bit": True}],
    "sinusoidal_pos_embds": [True, False],
    "num_labels": [5],
    "foo": [1],
}


def config_mutations() -> Iterator[Text]:
    """config.json of each family with every key dropped, renamed and changed, and with keys that it does not have."""
    for case in MUTATED:
        for key, value in case.config.items():
            left = {k: v for k, v in case.config.items() if k != key}
            if key != "model_type":
                yield _mutant(case, f"without {key}", left)
                yield _mutant(case, f"{key}s instead of {key}", {**left, f"{key}s": value})
            for other in _others(key, value):
                yield _mutant(case, f"{key} {other!r}", {**left, key: other})
        for key, values in ADDED.items():
            for value in values:
                if key not in case.config:
                    yield _mutant(case, f"{key} {value!r}", {**case.config, key: value})


def _mutant(case: Text, change: str, config: dict[str, Any]) -> Text:
    return Text(f"{case.name}: {change}", config, case.prefix, weights=case.name)


def _others(key: str, value: Any) -> list[Any]:
    if key == "model_type":
        return ["bert", "roberta", "mpnet", "distilbert", "modernbert", "nomic_bert", "electra", "t5"]
    if isinstance(value, int | float):
        return [value + 1, value - 1, value * 2, 0, -1, str(value), None, float(value), [value]]
    if isinstance(value, list):
        return [value[::-1], value[:-1], [], None, ["nonsense"] * len(value)]
    if isinstance(value, dict):
        return [{}, None, {**value, "rope_type": "linear"}, {**value, "rope_theta": 77.0}, 3]
    return ["relu", "gelu_new", "silu", "gelu_pytorch_tanh", None, 3]


def weight(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The weight of a name: normal and of a size that keeps activations as they are; near 1 for the scales of LayerNorms."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    values = np.asarray(generator.standard_normal(shape, dtype=np.float32))
    if len(shape) == 1 and name.endswith("weight"):
        return 1 + values / 8
    if len(shape) < 2:
        return np.asarray(values / 4)
    embeds = "embedding" in name
    return values / np.float32(2 if embeds else np.sqrt(np.prod(shape[1:])))


def shapes() -> dict[str, dict[str, list[int]]]:
    """The shape of each weight of each case, by the library's names."""
    found: dict[str, dict[str, list[int]]] = json.loads((DATA / "families.json").read_text())
    return found


def tokenizer() -> dict[str, Any]:
    """tokenizer.json: words between spaces, with start and end."""
    special = [
        {"id": VOCABULARY[t], "content": t, "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        for t in ("<s>", "<pad>", "</s>", "<unk>")
    ]  # fmt: skip
    return {
        "version": "1.0",
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", END], "cls": ["<s>", START], "trim_offsets": False, "add_prefix_space": False},
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": VOCABULARY, "unk_token": "<unk>"},
    }  # fmt: skip


def write_text(case: Text, folder: Path, *, dtype: Any = np.float32) -> Path:
    """A folder with this encoder, of sentence-transformers where it is a sentence encoder."""
    if case.whole:
        return write_whole(case.whole, folder)
    folder.mkdir(parents=True)
    dump(folder, "config.json", case.config)
    dump(folder, "tokenizer.json", tokenizer())
    dump(folder, "tokenizer_config.json", {"tokenizer_class": "TokenizersBackend", "pad_token": "<pad>"})
    write_weights(case.weights or case.name, folder / "model.safetensors", case.prefix, dtype)
    (folder / "1_Pooling").mkdir()
    dump(folder, "1_Pooling/config.json", {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True})
    dump(folder, "sentence_bert_config.json", {"max_seq_length": LONGEST, "do_lower_case": False})
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(modules)
    ]
    dump(folder, "modules.json", listed)
    return folder


def write_picture(case: Picture, folder: Path) -> Path:
    """A folder with both towers, and this preparation."""
    return write_whole(case.whole, folder, case.file)


def write_whole(name: str, folder: Path, preparation: dict[str, Any] | None = None) -> Path:
    """A folder with both towers."""
    folder.mkdir(parents=True)
    dump(folder, "tokenizer.json", tokenizer())
    dump(folder, "tokenizer_config.json", {"pad_token": "<pad>", "tokenizer_class": "PreTrainedTokenizerFast"})
    if name.startswith("open_clip"):
        dump(folder, "open_clip_config.json", {"model_cfg": MODELS[name], "preprocess_cfg": preparation or {}})
        write_weights(name, folder / "open_clip_model.safetensors")
        return folder
    dump(folder, "config.json", MODELS[name])
    if preparation is not None:
        dump(folder, "preprocessor_config.json", preparation)
    write_weights(name, folder / "model.safetensors")
    return folder


def write_weights(name: str, path: Path, prefix: str = "", dtype: Any = np.float32) -> None:
    """The weights of a case or of one of MODELS."""
    weights = {prefix + key: weight(key, tuple(shape)).astype(dtype) for key, shape in shapes()[name].items()}
    save_file(weights, path)


def dump(folder: Path, name: str, content: Any) -> None:
    """Write a JSON file."""
    (folder / name).write_text(json.dumps(content))

"""Text folders in every way that people have on disk, and their mutations; shared with the script that runs the reference
library, so nothing here needs more than numpy and safetensors."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

Array = NDArray[np.float32]
Files = dict[str, Any]

HIDDEN, INNER, LAYERS, HEADS, ROWS = 16, 32, 2, 4, 40
TEXTS = (
    "hello world",
    "The Quick BROWN fox",
    "Größe und KÄSE, résumé",
    "สวัสดี hello 中文",
    "a [SEP] b [MASK] c",
    "token " * 60,
    "x",
)
FITTING = (0, 1, 2, 3, 4, 6)
FEW = (1, 2, 3, 4, 5)  # the texts of mutations
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZäöüßÄÖÜéสวัดี中文,:."
WORDS = (
    "hello",
    "world",
    "the",
    "quick",
    "brown",
    "fox",
    "token",
    "query",
    "The",
    "Quick",
    "BROWN",
    "Größe",
    "KÄSE",
    "grosse",
)
DROPPED = object()
OLD, NEW = "sentence_transformers.models.", "sentence_transformers.sentence_transformer.modules."
NEW_PATHS = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Pooling": f"{NEW}pooling.Pooling",
    "Dense": "sentence_transformers.base.modules.dense.Dense",
    "Normalize": "sentence_transformers.base.modules.normalize.Normalize",
}
MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
OLD_KEYS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


@dataclass(frozen=True)
class Case:
    """The files of one folder: JSON, and which layers behind the pooling have weights."""

    name: str
    files: Files
    dense: dict[str, tuple[int, int, bool]] = field(default_factory=dict)  # inputs, outputs, residual weights
    texts: tuple[int, ...] = tuple(range(len(TEXTS)))

    def write(self, folder: Path) -> Path:
        """Write the folder, which is made."""
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(json.dumps(content, ensure_ascii=False))
        save_file(encoder_weights(), folder / "model.safetensors", metadata={"format": "pt"})
        for name, (inputs, outputs, residual) in self.dense.items():
            (folder / name).mkdir(exist_ok=True)
            save_file(dense_weights(name, inputs, outputs, residual=residual), folder / name / "model.safetensors")
        return folder


def numbers(name: str, *shape: int, scale: float = 0.4) -> Array:
    """Random numbers that depend on the name alone."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    return (generator.standard_normal(shape) * scale).astype(np.float32)


def encoder_weights() -> dict[str, Array]:
    """A BERT of two layers."""
    weights = {
        "embeddings.word_embeddings.weight": numbers("words", len(vocabulary()), HIDDEN),
        "embeddings.position_embeddings.weight": numbers("positions", ROWS, HIDDEN),
        "embeddings.token_type_embeddings.weight": numbers("types", 2, HIDDEN),
        **_norm("embeddings.LayerNorm"),
    }
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}."
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            weights |= _product(prefix + name, HIDDEN, HIDDEN)
        weights |= _product(f"{prefix}intermediate.dense", INNER, HIDDEN) | _product(
            f"{prefix}output.dense", HIDDEN, INNER
        )
        weights |= _norm(f"{prefix}attention.output.LayerNorm") | _norm(f"{prefix}output.LayerNorm")
    return weights


def dense_weights(name: str, inputs: int, outputs: int, *, residual: bool) -> dict[str, Array]:
    """Those of a layer behind the pooling."""
    weights = {"linear.weight": numbers(f"{name}.w", outputs, inputs), "linear.bias": numbers(f"{name}.b", outputs)}
    return {**weights, "residual.weight": numbers(f"{name}.r", outputs, inputs)} if residual else weights


def _product(name: str, outputs: int, inputs: int) -> dict[str, Array]:
    return {
        f"{name}.weight": numbers(f"{name}.w", outputs, inputs),
        f"{name}.bias": numbers(f"{name}.b", outputs, scale=0.1),
    }


def _norm(name: str) -> dict[str, Array]:
    return {f"{name}.weight": np.ones(HIDDEN, np.float32), f"{name}.bias": numbers(f"{name}.b", HIDDEN, scale=0.1)}


def vocabulary() -> list[str]:
    """Words of the tokenizer, in the order of their ids."""
    return list(dict.fromkeys([*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), *WORDS]))


def tokenizer(*, lower: bool = True) -> Files:
    """tokenizer.json of a BERT."""
    ids = {word: index for index, word in enumerate(vocabulary())}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 24, "strategy": "LongestFirst", "stride": 0},
        "padding": None,
        "added_tokens": [{"id": ids[word], "content": word, **flags} for word in SPECIAL],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": lower,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [_piece("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, _piece("[SEP]")],
            "pair": [
                _piece("[CLS]"),
                {"Sequence": {"id": "A", "type_id": 0}},
                _piece("[SEP]"),
                {"Sequence": {"id": "B", "type_id": 1}},
                _piece("[SEP]", 1),
            ],
            "special_tokens": {word: {"id": word, "ids": [ids[word]], "tokens": [word]} for word in ("[CLS]", "[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    }


def _piece(word: str, kind: int = 0) -> Files:
    return {"SpecialToken": {"id": word, "type_id": kind}}


def encoder(**changes: Any) -> Files:
    """config.json."""
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "vocab_size": len(vocabulary()),
        "max_position_embeddings": ROWS,
        "layer_norm_eps": 1e-12,
        "type_vocab_size": 2,
        "pad_token_id": 0,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "transformers_version": "4.40.0",
    }
    return {**config, **changes}


def pooling(*modes: str, new: bool = False, **more: Any) -> Files:
    """1_Pooling/config.json in either spelling."""
    if new:
        return {"embedding_dimension": HIDDEN, "pooling_mode": modes[0] if len(modes) == 1 else list(modes), **more}
    return {"word_embedding_dimension": HIDDEN, **{OLD_KEYS[mode]: mode in modes for mode in MODES}, **more}


def modules(*kinds: str, new: bool = False) -> list[Files]:
    """modules.json; each module but the first lies in ``<index>_<kind>``."""
    return [
        {
            "idx": i,
            "name": str(i),
            "path": f"{i}_{kind}" if i else "",
            "type": NEW_PATHS[kind] if new else OLD + kind,
        }
        for i, kind in enumerate(kinds)
    ]


def dense(inputs: int, outputs: int, activation: str = "activation.Tanh", **more: Any) -> Files:
    """2_Dense/config.json."""
    full = f"torch.nn.modules.{activation}"
    return {"in_features": inputs, "out_features": outputs, "bias": True, "activation_function": full, **more}


def case(name: str, *, lower: bool = True, **files: Any) -> Case:
    """A folder with mean pooling, and what is given instead (__ stands for a slash, and _json for .json)."""
    usual: Files = {
        "config.json": encoder(),
        "tokenizer.json": tokenizer(lower=lower),
        "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "do_lower_case": lower, "model_max_length": 512},
        "sentence_bert_config.json": {"max_seq_length": 32, "do_lower_case": False},
        "modules.json": modules("Transformer", "Pooling"),
        "1_Pooling/config.json": pooling("mean"),
    }
    given = {key.replace("__", "/").replace("_json", ".json"): content for key, content in files.items()}
    return Case(name, {key: content for key, content in {**usual, **given}.items() if content is not DROPPED})


SAVED = {
    "__version__": {"sentence_transformers": "5.4.0"},
    "prompts": {"query": "query: ", "document": ""},
    "default_prompt_name": None,
    "similarity_fn_name": "cosine",
}
POOLINGS = [(mode,) for mode in MODES] + [("mean", "max"), ("cls", "mean"), MODES, ("lasttoken", "weightedmean")]

"""Text folders in every way that people have on disk, and their mutations; shared with the script that runs the reference
library, so nothing here needs more than numpy and safetensors."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
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


MODEL = "config_sentence_transformers_json"
SAVED = {
    "__version__": {"sentence_transformers": "5.4.0"},
    "prompts": {"query": "query: ", "document": ""},
    "default_prompt_name": None,
    "similarity_fn_name": "cosine",
}
POOLINGS = [(mode,) for mode in MODES] + [("mean", "max"), ("cls", "mean"), MODES, ("lasttoken", "weightedmean")]
CONTENT = {
    "lower": {"do_lower_case": True},
    "plain": {"do_lower_case": False},
}


def combinations() -> Iterator[Case]:
    """Every family of settings alone, and those that meet each other."""
    yield from _poolings()
    yield from _lengths()
    yield from _preparations()
    yield from _prompts()
    yield from _denses()
    yield from _meeting()


def _poolings() -> Iterator[Case]:
    for modes in POOLINGS:
        for new in (False, True):
            name = f"pooled by {' and '.join(modes)}, in the {'newer' if new else 'older'} spelling"
            for kinds in (("Transformer", "Pooling"), ("Transformer", "Pooling", "Normalize")):
                listed = modules(*kinds, new=new)
                end = ", normalised" if len(kinds) == 3 else ""
                yield case(name + end, modules_json=listed, **{"1_Pooling__config_json": pooling(*modes, new=new)})


def _lengths() -> Iterator[Case]:
    for sentence in (None, 8, 31, 512):
        for longest in (None, 10, 10**30):
            words: Files = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
            words |= {} if longest is None else {"model_max_length": longest}
            name = f"cut by max_seq_length {sentence}, model_max_length {longest}, {ROWS} positions"
            found = case(name, sentence_bert_config_json={"max_seq_length": sentence}, tokenizer_config_json=words)
            # The library fails at a text that is longer than the positions, where it is told to take it.
            yield replace(found, texts=FITTING) if sentence == 512 else found
    yield case("cut by positions alone", sentence_bert_config_json=DROPPED, tokenizer_config_json=DROPPED)


def _preparations() -> Iterator[Case]:
    for lower in (False, True):
        for said in (False, True):
            for words in (
                None,
                {"tokenizer_class": "BertTokenizer", "do_lower_case": False},
                {"tokenizer_class": "BertTokenizerFast", "do_lower_case": True},
                {"tokenizer_class": "TokenizersBackend", "pad_token": "[PAD]"},
                {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": True, "pad_token": "[PAD]"},
                {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": True},
                {"tokenizer_class": "BertTokenizer", "strip_accents": False, "tokenize_chinese_chars": False},
            ):
                shown = "no tokenizer_config" if words is None else ", ".join(f"{k} {v}" for k, v in words.items())
                yield case(
                    f"a tokenizer that {'lowers' if lower else 'keeps'} case, do_lower_case {said}, {shown}",
                    lower=lower,
                    sentence_bert_config_json={"max_seq_length": 32, "do_lower_case": said},
                    tokenizer_config_json=DROPPED if words is None else words,
                )


def _prompts() -> Iterator[Case]:
    for include in (True, False):
        for default in (None, "query", "document"):
            for modes in POOLINGS[:6] if default == "query" else POOLINGS[:1]:
                yield case(
                    f"default prompt {default}, {'part' if include else 'no part'} of pooling by {modes[0]}",
                    config_sentence_transformers_json={**SAVED, "default_prompt_name": default},
                    **{"1_Pooling__config_json": pooling(*modes, new=True, include_prompt=include)},
                )


def _denses() -> Iterator[Case]:
    for activation in (
        "linear.Identity",
        "activation.Tanh",
        "activation.ReLU",
        "activation.GELU",
        "activation.Sigmoid",
    ):
        for kinds in (("Dense",), ("Dense", "Normalize"), ("Dense", "Dense")):
            yield _with_dense(f"{' and '.join(kinds)} of {activation}", kinds, activation)
    yield _with_dense(
        "a dense layer that adds what it gets", ("Dense",), "activation.SiLU", residual=True, outputs=HIDDEN
    )
    yield _with_dense("a dense layer that adds a product", ("Dense",), "activation.Tanh", residual=True, weights=True)


def _with_dense(
    name: str,
    kinds: tuple[str, ...],
    activation: str,
    *,
    residual: bool = False,
    weights: bool = False,
    outputs: int = 12,
) -> Case:
    files: Files = {}
    layers: dict[str, tuple[int, int, bool]] = {}
    inputs = HIDDEN
    for index, kind in enumerate(kinds, start=2):
        if kind == "Dense":
            more = {"use_residual": True} if residual else {}
            files[f"{index}_Dense__config_json"] = dense(inputs, outputs, activation, **more)
            layers[f"{index}_Dense"] = (inputs, outputs, weights)
            inputs, outputs = outputs, outputs - 3
    listed = modules("Transformer", "Pooling", *kinds)
    return replace(case(name, modules_json=listed, **files), dense=layers)


def _meeting() -> Iterator[Case]:
    for truncated in (5, 12, 300):
        for similarity in ("cosine", "dot", "euclidean"):
            yield case(
                f"the first {truncated} dimensions, for {similarity} similarity",
                config_sentence_transformers_json={
                    **SAVED,
                    "truncate_dim": truncated,
                    "similarity_fn_name": similarity,
                },
            )
    saved = {**SAVED, "default_prompt_name": "query", "truncate_dim": 9}
    for modes in POOLINGS[6:]:
        for include in (True, False):
            yield replace(
                case(
                    f"all together, pooled by {' and '.join(modes)}, with{'' if include else 'out'} its prompt",
                    lower=False,
                    config_sentence_transformers_json=saved,
                    sentence_bert_config_json={"max_seq_length": 20, "do_lower_case": True},
                    modules_json=modules("Transformer", "Pooling", "Dense", "Normalize"),
                    **{
                        "1_Pooling__config_json": pooling(*modes, new=True, include_prompt=include),
                        "2_Dense__config_json": dense(HIDDEN * len(modes), 12),
                    },
                ),
                dense={"2_Dense": (HIDDEN * len(modes), 12, False)},
            )
    yield case(
        "an encoder alone",
        modules_json=DROPPED,
        sentence_bert_config_json=DROPPED,
        **{"1_Pooling__config_json": DROPPED},
    )


def rich(name: str, *, new: bool) -> Case:
    """A folder that says much, for mutations."""
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    named = {
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "mask_token": "[MASK]",
    }
    words: Files = {
        "tokenizer_class": "BertTokenizer" if new else "BertTokenizerFast",
        "do_lower_case": not new,
        "model_max_length": 30,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "clean_up_tokenization_spaces": True,
        **named,
    }
    files: Files = {}
    if new:
        sentence: Files = {
            "transformer_task": "feature-extraction",
            "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
            "module_output_name": "token_embeddings",
        }
    else:
        sentence = {"max_seq_length": 20, "do_lower_case": True}
        words["added_tokens_decoder"] = {str(i): {"content": word, **flags} for i, word in enumerate(SPECIAL)}
        words |= {
            "padding_side": "right",
            "truncation_side": "right",
            "model_input_names": ["input_ids", "attention_mask"],
        }
        files["special_tokens_map_json"] = named
    base = case(
        name,
        lower=not new,
        config_json=encoder(position_embedding_type="absolute", torch_dtype="float32", use_cache=True),
        tokenizer_config_json=words,
        sentence_bert_config_json=sentence,
        config_sentence_transformers_json={**SAVED, "default_prompt_name": "query", "truncate_dim": 9},
        modules_json=modules("Transformer", "Pooling", "Dense", "Normalize", new=new),
        **{
            "1_Pooling__config_json": pooling("mean", "cls", new=new, include_prompt=True),
            "2_Dense__config_json": dense(2 * HIDDEN, 12),
        },
        **files,
    )
    return replace(base, dense={"2_Dense": (2 * HIDDEN, 12, False)}, texts=FEW)


VALUES: tuple[Any, ...] = (None, True, False, 0, 1, 2, 7, -1, 0.5, "", "x", "left", [], {}, ["x"])


def mutations() -> Iterator[Case]:
    """Each key of each configuration file dropped, renamed and changed, one at a time."""
    for base in (rich("newer", new=True), rich("older", new=False)):
        for file in sorted(base.files):
            if file == "tokenizer.json" and "newer" not in base.name:
                continue
            for where, changed in mutated(base.files[file], deep=file != "tokenizer.json"):
                yield replace(base, name=f"{base.name} {file}{where}", files={**base.files, file: changed})


def mutated(document: Any, *, deep: bool = True, where: str = "") -> Iterator[tuple[str, Any]]:
    """A JSON document with one change, and what it is called."""
    keys = list(document) if isinstance(document, dict) else range(len(document))
    for key in keys:
        place = f"{where}.{key}"
        value = document[key]
        if isinstance(document, dict):
            rest = {k: v for k, v in document.items() if k != key}
            yield f"{place} dropped", rest
            yield f"{place} renamed", {f"{key}s" if k == key else k: v for k, v in document.items()}
            values = VALUES if deep else VALUES[::3]
            for other in (*values, *_like(value)):
                if type(other) is not type(value) or other != value:
                    yield f"{place} = {json.dumps(other)}", {**document, key: other}
        nested = isinstance(value, dict | list) and value and (deep or key in ("normalizer", "model"))
        if nested and key not in ("vocab", "architectures"):
            for name, inner in mutated(value, deep=deep, where=place):
                if isinstance(document, dict):
                    yield name, {**document, key: inner}
                else:
                    yield name, [inner if i == key else other for i, other in enumerate(document)]


def _like(value: Any) -> list[Any]:
    """Other values of the same type."""
    if isinstance(value, bool):
        return []
    if isinstance(value, int):
        return [value + 1, value - 1, value * 2, value // 2, str(value), float(value)]
    if isinstance(value, str):
        return [value.upper(), value.lower(), value + "x", *OTHERS.get(value, ())]
    return []


OTHERS: dict[str, tuple[str, ...]] = {
    "gelu": ("relu", "gelu_new", "silu"),
    "cosine": ("dot", "euclidean", "manhattan", "maxsim"),
    "query": ("document",),
    "[CLS]": ("[SEP]", "hello"),
    "[SEP]": ("[CLS]",),
    "[MASK]": ("hello",),
    "bert": ("roberta", "distilbert"),
    "torch.nn.modules.activation.Tanh": ("torch.nn.modules.activation.ReLU", "builtins.print"),
    "BertTokenizer": ("TokenizersBackend", "PreTrainedTokenizerFast", "RobertaTokenizer"),
    "BertTokenizerFast": ("TokenizersBackend", "BertTokenizer", "MPNetTokenizer"),
    "float32": ("float16",),
    "absolute": ("relative_key",),
    "1_Pooling": ("2_Dense", "../x"),
    "2_Dense": ("1_Pooling",),
}

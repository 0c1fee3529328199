"""Text folders with one change: a key dropped, renamed, or of another value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.data.zoo.texts import (
    FEW,
    HIDDEN,
    SAVED,
    SPECIAL,
    Case,
    Files,
    case,
    dense,
    encoder,
    modules,
    pooling,
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

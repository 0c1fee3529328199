"""Every family of settings of a text folder alone, and those that meet each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.data.zoo.texts import (
    DROPPED,
    FITTING,
    HIDDEN,
    POOLINGS,
    ROWS,
    SAVED,
    Case,
    Files,
    case,
    dense,
    modules,
    pooling,
)


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

"""Keys of config.json: those that a family reads, those that change no vector, and all others."""

from __future__ import annotations

from typing import Any

from models.errors import ArtifactError
from models.validation import one_of

# Read by transformers for training, for other heads, or for describing the model; or ways to compute the same.
NEUTRAL = frozenset(
    {
        "architectures",
        "model_type",
        "_name_or_path",
        "name_or_path",
        "_commit_hash",
        "transformers_version",
        "torch_dtype",  # of the weights, which are read as they are and computed in the entry's precision; so is the next
        "dtype",
        "id2label",
        "label2id",
        "num_labels",
        "problem_type",
        "finetuning_task",
        "task_specific_params",
        "initializer_range",
        "initializer_factor",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "classifier_dropout",
        "use_cache",
        "gradient_checkpointing",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "output_past",
        "tie_word_embeddings",
        "bos_token_id",
        "eos_token_id",
        "sep_token_id",
        "cls_token_id",
        "unk_token_id",
        "decoder_start_token_id",
        "chunk_size_feed_forward",
        "attn_implementation",
        "_attn_implementation",
        "sentence_transformers",
        "tokenizer_class",  # read with the tokenizer
        "directionality",  # the next four are of BERT's pooler, which no sentence encoder uses
        "pooler_fc_size",
        "pooler_num_attention_heads",
        "pooler_num_fc_layers",
        "pooler_size_per_head",
        "pooler_type",
        "summary_activation",
        "summary_first_dropout",
        "summary_last_dropout",
        "summary_proj_to_labels",
        "summary_type",
        "summary_use_proj",
    }
)
# Anything but these values of theirs changes what an encoder computes.
ONLY: dict[str, tuple[Any, ...]] = {
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "is_encoder_decoder": (False,),
    "pruned_heads": ({},),
    "quantization_config": (),
    "auto_map": (),
    "torchscript": (False,),
    "tie_encoder_decoder": (False,),
    "cross_attention_hidden_size": (),
}
WHOLE = frozenset(
    {
        "num_hidden_layers",
        "num_attention_heads",
        "hidden_size",
        "intermediate_size",
        "vocab_size",
        "type_vocab_size",
        "max_position_embeddings",
        "pad_token_id",
        *("image_size", "patch_size", "num_channels", "projection_dim"),
        *("n_layers", "n_heads", "dim", "hidden_dim"),  # of DistilBERT
        *("n_layer", "n_head", "n_embd", "n_inner", "n_positions"),  # of NomicBERT
    }
)
# Of training, so that no vector depends on them; transformers refuses a file in which they have other types.
TYPES: dict[str, tuple[type, ...]] = {
    "hidden_dropout_prob": (float, int),
    "attention_probs_dropout_prob": (float, int),
    "initializer_range": (float,),
    "use_cache": (bool,),
}
SHARES = ("hidden_dropout_prob", "attention_probs_dropout_prob")
DTYPES = ("float32", "float16", "bfloat16", "float64", "auto")
NUMBERS = frozenset({"layer_norm_eps", "layer_norm_epsilon", "norm_eps"})


def require_known(config: dict[str, Any], read: frozenset[str], place: str = "") -> None:
    """Refuse a config.json with keys that might change vectors and that nobody reads.

    Args:
        config: its content.
        read: the keys that the family reads.
        place: of these keys in the file, as ``text_config.``.

    Raises:
        ArtifactError: names the keys.
    """
    place = f"config.json: {place}"
    for key, allowed in ONLY.items():
        value = config.get(key)
        if key not in read and value is not None and value not in allowed:
            raise ArtifactError(f"{place}{key} is {value!r:.80}, which is not served; export the model to ONNX")
    for key in WHOLE & read & set(config):
        if isinstance(config[key], bool) or not isinstance(config[key], int) or config[key] < (key != "pad_token_id"):
            raise ArtifactError(f"{place}{key} must be a whole number from 1, not {config[key]!r:.80}")
    hidden, heads = config.get("hidden_size"), config.get("num_attention_heads")
    if {"hidden_size", "num_attention_heads"} <= read and isinstance(hidden, int) and heads and hidden % heads:
        raise ArtifactError(f"{place}num_attention_heads is {heads}, which does not divide hidden_size, {hidden}")
    for key in NUMBERS & read & set(config):
        if not isinstance(config[key], float) or not config[key] >= 0:
            raise ArtifactError(
                f"{place}{key} must be a number with a point or an exponent, such as 1e-12, not {config[key]!r:.80}"
            )
    _require_types(config, place)
    unknown = sorted(set(config) - read - NEUTRAL - set(ONLY))
    if unknown:
        raise ArtifactError(
            f"{place}{', '.join(unknown)} {'is' if len(unknown) == 1 else 'are'} not known here, and might change "
            "vectors; if not, remove from the file"
        )


def _require_types(config: dict[str, Any], place: str) -> None:
    """Refuse what the library cannot read, also where nothing here reads it: such a file is damaged."""
    for key, kinds in TYPES.items():
        if key in config and type(config[key]) not in kinds:
            names = " or ".join(
                {float: "a number with a point", int: "0 or 1", bool: "true or false"}[k] for k in kinds
            )
            raise ArtifactError(f"{place}{key} must be {names}, not {config[key]!r:.80}")
    for key in SHARES:
        if not 0 <= config.get(key, 0) <= 1:
            raise ArtifactError(f"{place}{key} must be from 0 to 1, not {config[key]!r:.80}")
    for key in ("torch_dtype", "dtype"):
        value = config.get(key)
        if value is not None and value not in DTYPES:
            raise ArtifactError(f"{place}{key} is {value!r:.80}, and must be {one_of(DTYPES)}")

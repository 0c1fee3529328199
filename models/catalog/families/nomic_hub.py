"""NomicBERT's config.json in the spelling of the hub's older files, whose code is not transformers' own."""

from __future__ import annotations

from typing import Any

from models.catalog.config_keys import TYPES
from models.errors import ArtifactError
from models.graph.checks import whole

# Its names, and transformers'.
KEYS = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_inner": "intermediate_size",
    "n_positions": "max_position_embeddings",
    "layer_norm_epsilon": "layer_norm_eps",
}
# Values that the graph computes; others are refused. The code takes others where a key of ``STATED`` is missing.
VALUES: dict[str, tuple[Any, ...]] = {
    "activation_function": ("swiglu",),
    "attn_pdrop": (0.0, 0),  # which the code applies in inference too
    "rotary_emb_fraction": (1, 1.0),
    "rotary_emb_interleaved": (False,),
    "rotary_emb_scale_base": (None,),
    "rotary_scaling_factor": (None,),
    "prenorm": (False,),
    "parallel_block": (False,),
    "causal": (False,),
    "qkv_proj_bias": (False,),
    "mlp_fc1_bias": (False,),
    "mlp_fc2_bias": (False,),
    "use_rms_norm": (False, None),
    "hidden_act": ("silu",),
    "num_experts": (0, None),
    "parallel_block_tied_norm": (False,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "scale_attn_weights": (True,),
}
STATED = (
    *KEYS,
    "activation_function",
    "attn_pdrop",
    "rotary_emb_base",
    "rotary_emb_fraction",
    "qkv_proj_bias",
    "mlp_fc1_bias",
    "mlp_fc2_bias",
)
# Of training, and of ways to compute the same; auto_map names the code whose architecture this graph computes.
NEUTRAL = {
    "auto_map",
    "dense_seq_output",
    "embd_pdrop",
    "fused_bias_fc",
    "fused_dropout_add_ln",
    "max_trained_positions",
    "pad_token_id",
    "pad_vocab_size_multiple",
    "reorder_and_upcast_attn",
    "resid_pdrop",
    "use_flash_attn",
    "use_xentropy",
}
READ = frozenset({*KEYS, *VALUES, *NEUTRAL, "rotary_emb_base"})
NUMBERS = (int, float)
WHOLE_OR_NULL = (int, type(None))
OF_TYPES: dict[str, tuple[type, ...]] = {
    "embd_pdrop": NUMBERS,
    "resid_pdrop": NUMBERS,
    "reorder_and_upcast_attn": (bool,),
    "bos_token_id": WHOLE_OR_NULL,
    "eos_token_id": WHOLE_OR_NULL,
    **{
        key: kinds for key, kinds in TYPES.items() if key not in ("hidden_dropout_prob", "attention_probs_dropout_prob")
    },
}


def in_transformers_spelling(config: dict[str, Any]) -> dict[str, Any]:
    """The same with transformers' names; as it is where it has them.

    Raises:
        ArtifactError: it says what the graph does not compute, or what the hub's code does not take.
    """
    for key, values in VALUES.items():
        if key in config and config[key] not in values:
            raise ArtifactError(f"config.json: {key} is {config[key]!r:.60}; computed is {values[0]!r}")
    if "n_embd" in config:
        _require_whole_spelling(config)
    for older, newer in KEYS.items():
        if older in config and config.get(newer, config[older]) != config[older]:
            raise ArtifactError(
                f"config.json: {older} is {config[older]!r:.60}, and {newer} {config[newer]!r:.60}; they are one"
            )
    return {KEYS.get(key, key): value for key, value in config.items()}


def _require_whole_spelling(config: dict[str, Any]) -> None:
    missing = [key for key in STATED if key not in config]
    if missing:
        raise ArtifactError(
            f"config.json: {missing[0]} is missing, for which the hub's code takes what is not computed; say it as "
            "nomic-embed-text-v1.5 does"
        )
    both = [key for key in ("rope_parameters", "rope_theta") if config.get(key) is not None]
    if both:
        raise ArtifactError(f"config.json: {both[0]} and rotary_emb_base are two spellings; write one of them")
    for key, kinds in OF_TYPES.items():
        if key in config and type(config[key]) not in kinds:
            raise ArtifactError(f"config.json: {key} is {config[key]!r:.60}, of a type that no such file has")
    for key in ("embd_pdrop", "resid_pdrop"):
        if not 0 <= config.get(key, 0) <= 1:
            raise ArtifactError(f"config.json: {key} must be from 0 to 1, not {config[key]!r:.60}")
    if not config.get("initializer_range", 1) > 0:
        raise ArtifactError(
            f"config.json: initializer_range must be greater than 0, not {config['initializer_range']!r:.60}"
        )
    multiple = whole(config, "pad_vocab_size_multiple", 1)
    if whole(config, "vocab_size") % multiple:
        raise ArtifactError(
            f"config.json: vocab_size is {config['vocab_size']}, no multiple of pad_vocab_size_multiple, {multiple}; the "
            "hub's code would add rows to the table of words"
        )

"""NomicBERT as the hub has it, in its own spelling, and mutations of its config.json."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from tests.data.zoo.families import LONGEST, PADDING, VOCABULARY, dump, tokenizer, weight

HIDDEN, INNER, LAYERS, HEADS = 32, 256, 2, 4  # its code rounds the inner size up to a multiple of 256
CONFIG: dict[str, Any] = {
    "activation_function": "swiglu",
    "architectures": ["NomicBertModel"],
    "attn_pdrop": 0.0,
    "bos_token_id": None,
    "causal": False,
    "dense_seq_output": True,
    "embd_pdrop": 0.0,
    "eos_token_id": None,
    "fused_bias_fc": True,
    "fused_dropout_add_ln": True,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-12,
    "max_trained_positions": LONGEST,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "model_type": "nomic_bert",
    "n_embd": HIDDEN,
    "n_head": HEADS,
    "n_inner": INNER,
    "n_layer": LAYERS,
    "n_positions": LONGEST,
    "pad_token_id": PADDING,
    "pad_vocab_size_multiple": 64,
    "parallel_block": False,
    "parallel_block_tied_norm": False,
    "prenorm": False,
    "qkv_proj_bias": False,
    "reorder_and_upcast_attn": False,
    "resid_pdrop": 0.0,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
    "scale_attn_by_inverse_layer_idx": False,
    "scale_attn_weights": True,
    "type_vocab_size": 2,
    "use_cache": True,
    "use_flash_attn": True,
    "use_rms_norm": False,
    "use_xentropy": True,
    "vocab_size": len(VOCABULARY),
}
# Values beside those that a change of type or size gives, and keys that the file does not have.
OTHERS: dict[str, list[Any]] = {
    "activation_function": ["gelu", "geglu", "glu", "silu", None],
    "rotary_emb_base": [10_000, 500.0],
    "rotary_emb_fraction": [1, 0.5],
    "rotary_scaling_factor": [2.0],
    "rotary_emb_scale_base": [512],
    "rotary_head_dim": [True, False],
    "num_heads_kv": [2, 4],
    "norm_mlp": [True, False],
    "hidden_act": ["relu"],
    "rope_theta": [300.0],
    "rope_parameters": [{"rope_type": "default", "rope_theta": 300.0}],
    "hidden_size": [HIDDEN],
    "n_ctx": [LONGEST],
    "foo": [1],
}


@dataclass(frozen=True)
class Nomic:
    """A folder with this config.json and always the same weights."""

    name: str
    config: dict[str, Any]

    def write(self, folder: Path) -> Path:
        """The folder, of sentence-transformers, pooled by the mean."""
        folder.mkdir(parents=True)
        dump(folder, "config.json", self.config)
        dump(folder, "tokenizer.json", tokenizer())
        dump(folder, "tokenizer_config.json", {"tokenizer_class": "TokenizersBackend", "pad_token": "<pad>"})
        dump(folder, "sentence_bert_config.json", {"max_seq_length": LONGEST, "do_lower_case": False})
        save_file({name: weight(name, shape) for name, shape in shapes().items()}, folder / "model.safetensors")
        (folder / "1_Pooling").mkdir()
        dump(folder, "1_Pooling/config.json", {"word_embedding_dimension": HIDDEN, "pooling_mode_mean_tokens": True})
        modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
        listed = [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(modules)
        ]
        dump(folder, "modules.json", listed)
        return folder


def shapes() -> dict[str, tuple[int, ...]]:
    """The weights by the names that the hub's files have."""
    found: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(VOCABULARY), HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        **{f"emb_ln.{part}": (HIDDEN,) for part in ("weight", "bias")},
    }
    for layer in range(LAYERS):
        stem = f"encoder.layers.{layer}."
        found |= {
            f"{stem}attn.Wqkv.weight": (3 * HIDDEN, HIDDEN),
            f"{stem}attn.out_proj.weight": (HIDDEN, HIDDEN),
            f"{stem}mlp.fc11.weight": (INNER, HIDDEN),
            f"{stem}mlp.fc12.weight": (INNER, HIDDEN),
            f"{stem}mlp.fc2.weight": (HIDDEN, INNER),
            **{f"{stem}{norm}.{part}": (HIDDEN,) for norm in ("norm1", "norm2") for part in ("weight", "bias")},
        }
    return found


def mutations() -> Iterator[Nomic]:
    """config.json as it is, then each key dropped, renamed and changed, and keys that it does not have."""
    yield Nomic("as it is", CONFIG)
    for key, value in CONFIG.items():
        if key == "model_type":
            continue
        left = {k: v for k, v in CONFIG.items() if k != key}
        yield Nomic(f"without {key}", left)
        yield Nomic(f"{key}s instead of {key}", {**left, f"{key}s": value})
        for other in (*_others(value), *OTHERS.get(key, ())):
            yield Nomic(f"{key} {other!r}", {**left, key: other})
    for key, values in OTHERS.items():
        for value in values:
            if key not in CONFIG:
                yield Nomic(f"{key} {value!r}", {**CONFIG, key: value})


def _others(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value, None]
    if isinstance(value, int | float):
        return [value + 1, value * 2, 0, -1, str(value), None, [value]]
    return ["x", 3, True, None] if value is not None else [1, "x", True]

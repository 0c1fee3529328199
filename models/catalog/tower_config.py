"""config.json of towers of texts and pictures: the part that describes one, with every key read, harmless or refused."""

from __future__ import annotations

from typing import Any

from models.catalog.config_keys import require_known
from models.errors import ArtifactError

SHARED = frozenset(
    {
        "num_hidden_layers",
        "num_attention_heads",
        "hidden_size",
        "intermediate_size",
        "hidden_act",
        "layer_norm_eps",
        "projection_dim",  # read at the top of a whole model; its towers repeat it
        "projection_size",
    }
)
OF_TEXTS = SHARED | {"vocab_size", "max_position_embeddings", "pad_token_id"}
OF_PICTURES = SHARED | {"image_size", "patch_size", "num_channels", "vision_use_head"}
# What transformers once wrote into every config.json: of training, and of how texts are generated.
GENERATION = frozenset(
    {
        *("attention_dropout", "dropout", "logit_scale_init_value", "use_bfloat16", "tf_legacy_loss", "prefix", "max_length"),
        *("min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty", "temperature"),
        *("top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "output_scores"),
        *("encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences", "return_dict_in_generate"),
        *("forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty"),
        *("suppress_tokens", "begin_suppress_tokens"),
    }
)  # fmt: skip
CHANNELS = 3  # of every picture
PROJECTION = 512  # of CLIP, where config.json is silent
PARTS = {"text": ("text_config", OF_TEXTS), "image": ("vision_config", OF_PICTURES)}
OF_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("bos_token_id", "pad_token_id", "eos_token_id"), (int,)),
    **dict.fromkeys(("initializer_range", "initializer_factor", "attention_dropout"), (int, float)),
    "logit_scale_init_value": (int, float),
}


def require_tower(config: dict[str, Any], modality: str) -> None:
    """Refuse a config.json that asks for another tower than is built, or that holds unknown keys.

    Args:
        config: of a whole model with ``text_config`` and ``vision_config``, or of one tower alone.
        modality: of the tower.

    Raises:
        ArtifactError: names the key.
    """
    name, read = PARTS[modality]
    if not _is_whole(config):
        _require(config, read, "")
        return
    clip = config["model_type"] == "clip"
    others = {f"{part}{end}" for part, _ in PARTS.values() for end in (("", "_dict") if clip else ("",))}
    top = {key: value for key, value in config.items() if key not in others}
    _require(top, frozenset({"projection_dim"} if clip else ()), "")
    for part in (name, f"{name}_dict"):
        given = config.get(part)
        if given is not None:
            if not isinstance(given, dict):
                raise ArtifactError(f"config.json: {part} must be an object, {{...}}")
            _require(given, read, f"{part}.")


def tower_of(config: dict[str, Any], modality: str) -> dict[str, Any]:
    """The description of one tower, as the library reads it: ``text_config_dict`` in the place of ``text_config``."""
    if not _is_whole(config):
        return config
    name = PARTS[modality][0]
    given = config.get(f"{name}_dict")
    tower = {**(config.get(name) or {} if given is None else given)}
    return (
        {**tower, "projection_dim": config.get("projection_dim", PROJECTION)}
        if config["model_type"] == "clip"
        else tower
    )


def _is_whole(config: dict[str, Any]) -> bool:
    return config.get("model_type") in ("clip", "siglip")


def _require(values: dict[str, Any], read: frozenset[str], place: str) -> None:
    require_known({key: value for key, value in values.items() if key not in GENERATION}, read, place)
    for key, kinds in OF_TYPES.items():
        value = values.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
            raise ArtifactError(f"config.json: {place}{key} must be a number, not {value!r:.60}")
    if "num_channels" in read and values.get("num_channels", CHANNELS) != CHANNELS:
        raise ArtifactError(
            f"config.json: {place}num_channels is {values['num_channels']!r:.60}; pictures have {CHANNELS}"
        )

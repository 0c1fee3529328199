"""The special words of a tokenizer: which files name them, and whether tokenizer.json knows them."""

from __future__ import annotations

from typing import Any

from models.catalog.fields import Fields
from models.catalog.folder import ModelFolder
from models.errors import ArtifactError
from models.inputs.tokenizer_rewrite import vocabulary_of

FILE, CONFIG = "tokenizer.json", "tokenizer_config.json"
MAP, ADDED = "special_tokens_map.json", "added_tokens.json"
ABSENT: dict[str, Any] = {}
NAMED = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


def named_words(folder: ModelFolder, fields: Fields, document: dict[str, Any]) -> dict[str, str]:
    """The special words that files name, by what they are for; all must be known to tokenizer.json.

    Raises:
        ArtifactError: one is not, or the files contradict each other.
    """
    decoder = fields.take("added_tokens_decoder", dict, ABSENT)
    listed = decoder is not ABSENT
    if listed:
        _require_same_added(decoder, document)
    fields.refuse_null("pad_token")
    named = {key: fields.raw(f"{key}_token") for key in NAMED}
    extra = [fields.raw("additional_special_tokens"), fields.raw("extra_special_tokens")]
    if not listed and folder.has(MAP):
        others = folder.fields(MAP)
        named |= {key: others.raw(f"{key}_token") for key in NAMED if f"{key}_token" in others}
        extra += [others.raw("additional_special_tokens"), others.raw("extra_special_tokens")]
        others.end()
    if not listed:
        _require_known_ids(folder, document)
    found = {key: _word(value, f"{key}_token") for key, value in named.items() if value is not None}
    more = [_word(word, "extra_special_tokens") for group in extra if group for word in _list(group)]
    present = {token["content"] for token in document.get("added_tokens", [])} | set(vocabulary_of(document))
    unknown = [word for word in (*found.values(), *more) if word not in present]
    if unknown:
        raise ArtifactError(f"{CONFIG}: the special token {unknown[0]!r:.60} is not in {FILE}, whose ids the model has")
    return {**found, **{f"extra {i}": word for i, word in enumerate(more)}}


def _list(group: Any) -> list[Any]:
    return list(group.values()) if isinstance(group, dict) else group if isinstance(group, list) else [group]


def _word(value: Any, key: str) -> str:
    content = value.get("content") if isinstance(value, dict) else value
    if not isinstance(content, str) or not content:
        raise ArtifactError(f"{CONFIG}: {key} must be a text or a token with its content, not {value!r:.80}")
    return content


def _require_same_added(decoder: dict[str, Any], document: dict[str, Any]) -> None:
    listed = {str(token["id"]): _flags(token) for token in document.get("added_tokens", []) if "id" in token}
    if {str(key): _flags(token) for key, token in decoder.items()} != listed:
        raise ArtifactError(
            f"{CONFIG}: added_tokens_decoder is not the same as added_tokens in {FILE}; save the tokenizer anew"
        )


def _flags(token: Any) -> Any:
    """What decides how an added word is found; as text, since in Python 1 equals true."""
    keys = ("content", "lstrip", "rstrip", "single_word", "normalized", "special")
    return tuple(repr(token.get(key, False)) for key in keys) if isinstance(token, dict) else token


def _require_known_ids(folder: ModelFolder, document: dict[str, Any]) -> None:
    listed = {token["content"]: token.get("id") for token in document.get("added_tokens", [])}
    for word, index in folder.json(ADDED).items():
        if listed.get(word) != index:
            raise ArtifactError(f"{ADDED}: {word!r:.60} is not {index} in {FILE}; save the tokenizer anew")


def unlisted_words(document: dict[str, Any], named: dict[str, str]) -> list[str]:
    """Named words that tokenizer.json has in its vocabulary and does not look for in texts."""
    added = {token["content"] for token in document.get("added_tokens", [])}
    vocabulary = vocabulary_of(document)
    return sorted({word for word in named.values() if word not in added and word in vocabulary})

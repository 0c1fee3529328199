"""How a folder of a text model makes vectors: everything that its files say, as ``config`` of a catalogue entry."""

from __future__ import annotations

import re
from typing import Any

from models.catalog.fields import Fields
from models.catalog.folder import ASKED, ASSUMED, ModelFolder
from models.catalog.modules import Modules, chosen_pooling, read_modules
from models.catalog.sentence_config import require_plain, sentence_config
from models.catalog.tokenizer_config import UNLIMITED, TokenizerReading, read_tokenizer
from models.errors import ArtifactError
from models.modalities.text_config import LONGEST
from models.validation import one_of

MODEL_CONFIG = "config_sentence_transformers.json"
# As PEP 440 has them, for which the library looks.
VERSION = re.compile(
    r"v?(\d+!)?\d+(\.\d+)*([._-]?(a|b|c|rc|alpha|beta|pre|preview|post|rev|r|dev)[._-]?\d*)*(\+[a-z0-9._-]+)?", re.I
)
SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")


def text_settings(folder: ModelFolder, config: dict[str, Any], positions: int | None) -> dict[str, Any]:
    """``config`` of the catalogue entry of a text folder.

    Args:
        folder: the folder that holds modules.json, or the encoder alone.
        config: config.json of its encoder; empty where an ONNX file has none.
        positions: tokens that the encoder can place; None where nothing says it.

    Raises:
        ArtifactError: a file says something that is not served; the message names file and key.
    """
    modules = read_modules(folder)
    pooling = chosen_pooling(folder, modules)
    encoder = ModelFolder(folder.path / modules.transformer, folder.wishes, folder.facts)
    sentence, name = sentence_config(encoder, modules)
    length, lower = sentence.take("max_seq_length", int, 0, nullable=True), sentence.take("do_lower_case", bool, False)
    if not length:
        sentence.require("max_seq_length")
    require_plain(sentence)
    tokenizer = read_tokenizer(encoder, config, lower_case=_lower_case(folder, name, lower))
    settings: dict[str, Any] = {
        "max_sequence_length": _length(folder, (name, length), tokenizer, positions),
        "pooling": pooling[0] if len(pooling) == 1 else list(pooling),
    }
    if tokenizer.changes:
        settings["tokenizer"] = tokenizer.changes
    if modules.dense:
        settings["dense"] = [dict(layer) for layer in modules.dense]
    if not modules.include_prompt:
        settings["include_prompt"] = False
    settings |= _model_config(folder, modules, tokenizer, settings)
    return settings


def _lower_case(folder: ModelFolder, name: str, said: bool) -> bool:
    wished = folder.wishes.lower_case
    if wished is not None:
        folder.note("lower-cased before the tokenizer", "yes" if wished else "no", ASKED)
        return wished
    if said:
        folder.note("lower-cased before the tokenizer", "yes", name)
    return said


def _length(folder: ModelFolder, sentence: tuple[str, int], tokenizer: TokenizerReading, positions: int | None) -> int:
    """The length that sentence-transformers cuts at, as far as the encoder can place it."""
    name, said = sentence
    if folder.wishes.max_length is not None:
        found = [(folder.wishes.max_length, ASKED)]
    elif said:
        found = [(said, name)]
    elif tokenizer.max_length is not None and tokenizer.max_length <= UNLIMITED:
        found = [(tokenizer.max_length, "tokenizer_config.json (model_max_length)")]
    else:
        found = []
    if positions is not None:
        found.append((positions, "config.json (positions)"))
    if not found:
        raise ArtifactError("no file says how many tokens the model takes; say it with --max-length")
    length, source = min(found, key=lambda item: item[0])
    if length < 3:
        raise ArtifactError(f"{source} allows {length} tokens; a start, a word and an end are three")
    if length > LONGEST:
        folder.note(
            "longest text", f"{LONGEST} tokens", f"{ASSUMED}: {source} says {length}, the service takes {LONGEST}"
        )
        return LONGEST
    folder.note("longest text", f"{length} tokens", source)
    return length


def _model_config(
    folder: ModelFolder, modules: Modules, tokenizer: TokenizerReading, settings: dict[str, Any]
) -> dict[str, Any]:
    """Prompts, truncation and similarity: what concerns the model as a whole."""
    fields = folder.fields(MODEL_CONFIG)
    if not modules.listed:  # sentence-transformers does not read it then
        fields.require_empty("truncate_dim", "default_prompt_name")
        return {**_norm(folder, modules, "cosine", None), **_said_prompts(folder, {})}
    fields.require("model_type", "SentenceTransformer")
    _require_versions(fields)
    fields.ignore(("requirements",))
    prompts = _prompts(fields)
    default = fields.take("default_prompt_name", str, "", nullable=True)
    if not default:
        fields.require("default_prompt_name")
    truncated = fields.take("truncate_dim", int, 0, nullable=True)
    if not truncated:
        fields.require("truncate_dim")
    similarity = fields.take("similarity_fn_name", str, "cosine", nullable=True)
    fields.end()
    if similarity not in SIMILARITIES:
        raise ArtifactError(
            f"{MODEL_CONFIG}: similarity_fn_name is {similarity!r:.60}; it must be {one_of(SIMILARITIES)}"
        )
    if truncated < 0:
        raise ArtifactError(f"{MODEL_CONFIG}: truncate_dim is {truncated}; it must be at least 1")
    found: dict[str, Any] = _norm(folder, modules, similarity, truncated or None)
    found |= _said_prompts(folder, prompts)
    if default:
        if default not in {*prompts, "query", "document"}:
            raise ArtifactError(
                f"{MODEL_CONFIG}: default_prompt_name is {default!r:.60}; prompts has {', '.join(prompts) or 'none'}"
            )
        if prompts.get(default):
            found["default_prompt"] = default
            folder.note("prompt before every text", repr(prompts[default]), MODEL_CONFIG)
            found |= _prompt_tokens(modules, tokenizer, prompts[default], settings["max_sequence_length"])
    return found


def _require_versions(fields: Fields) -> None:
    """Refuse a version of its library that this library cannot read; nothing depends on what it is."""
    versions = fields.take("__version__", dict, {})
    said = versions.get("sentence_transformers", "0")
    if not isinstance(said, str) or not VERSION.fullmatch(said):
        raise ArtifactError(
            f'{fields.where}: __version__.sentence_transformers is {said!r:.60}, and must be a version such as "5.4.0"'
        )


def _prompts(fields: Fields) -> dict[str, str]:
    prompts = fields.take("prompts", dict, {})
    bad = [name for name, text in prompts.items() if text is not None and not isinstance(text, str)]
    if bad:
        raise ArtifactError(f"{fields.where}: prompts.{bad[0]} must be a text, not {prompts[bad[0]]!r:.60}")
    return {name: text or "" for name, text in prompts.items()}


def _said_prompts(folder: ModelFolder, prompts: dict[str, str]) -> dict[str, Any]:
    """All prompts, also those that say nothing: a request that names one of them gets no other."""
    wished = dict(folder.wishes.prompts or {})
    whole = {**prompts, **wished}
    for name, text in whole.items():
        if text or name in wished:
            folder.note(f"prompt {name!r}", repr(text), ASKED if name in wished else MODEL_CONFIG)
    return {"prompts": whole} if any(whole.values()) else {}


def _prompt_tokens(modules: Modules, tokenizer: TokenizerReading, prompt: str, length: int) -> dict[str, Any]:
    tokens = tokenizer.prompt_tokens(prompt)
    if tokens + 2 > length:
        raise ArtifactError(f"{MODEL_CONFIG}: the default prompt has {tokens} tokens, the model takes {length} in all")
    return {} if modules.include_prompt else {"prompt_tokens": tokens}


def _norm(folder: ModelFolder, modules: Modules, similarity: str, truncated: int | None) -> dict[str, Any]:
    """The vector's leading dimensions and its length: 1, unless the model's similarity depends on other ones."""
    found: dict[str, Any] = {}
    if truncated:
        found["truncate_dim"] = truncated
        folder.note("leading dimensions kept", truncated, MODEL_CONFIG)
    if similarity != "cosine":
        found["similarity"] = similarity
        folder.note("similarity", similarity, MODEL_CONFIG)
    wished = folder.wishes.normalize
    if wished is not None:
        folder.note("vectors have length 1", "yes" if wished else "no", ASKED)
    raw = not wished if wished is not None else similarity != "cosine" and not modules.normalized
    if not raw and similarity != "cosine" and modules.normalized and truncated:
        raise ArtifactError(
            f"{MODEL_CONFIG}: truncate_dim behind Normalize makes shorter vectors, which {similarity} similarity would "
            "tell apart; say --normalize if vectors of length 1 are right"
        )
    if raw:
        found["normalize"] = False
    if wished is None:
        source = "modules.json" if modules.normalized else f"{ASSUMED}: cosine does not depend on it"
        folder.note("vectors have length 1", "no" if raw else "yes", MODEL_CONFIG if raw else source)
    return found

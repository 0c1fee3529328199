"""A folder's tokenizer: tokenizer.json, and what the files beside it change of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from models.catalog.fields import Fields, read_json
from models.catalog.folder import ASSUMED, ModelFolder
from models.catalog.tokenizer_classes import require_model, rules_of
from models.catalog.tokenizer_words import CONFIG, FILE, named_words, unlisted_words
from models.errors import ArtifactError
from models.inputs.tokenizer_rewrite import TokenizerChanges, rewritten

UNLIMITED = 10**20  # transformers takes a longer ``model_max_length`` as none
NEUTRAL = frozenset(
    {
        "clean_up_tokenization_spaces",  # of decoding
        "name_or_path",
        "special_tokens_map_file",
        "tokenizer_file",
        "backend",
        "is_local",
        "local_files_only",
        "processor_class",
        "max_length",  # the next six: of calls that ask for them, which sentence-transformers does not
        "stride",
        "truncation_strategy",
        "pad_to_multiple_of",
        "pad_token_type_id",
        "pad_type_id",
        "errors",  # of decoding
        "trim_offsets",  # of offsets
        "chat_template",  # for messages
        "device_map",
        "_commit_hash",
        "do_basic_tokenize",  # of the slow tokenizers that no longer exist; so is the next
        "never_split",
        "use_fast",
        "from_slow",
        "legacy",
        "sp_model_kwargs",
    }
)


@dataclass(frozen=True)
class TokenizerReading:
    """What was found."""

    changes: dict[str, Any]  # as ``config.tokenizer`` of a catalogue entry; empty for none
    max_length: int | None
    tokenizer: Tokenizer  # with the changes
    special: frozenset[str]

    def prompt_tokens(self, prompt: str) -> int:
        """Leading tokens that are a prompt's, as sentence-transformers counts them."""
        ids = self.tokenizer.encode(prompt).ids
        ends = bool(ids) and self.tokenizer.id_to_token(ids[-1]) in self.special
        return len(ids) - int(ends)


def read_tokenizer(folder: ModelFolder, config: dict[str, Any], *, lower_case: bool) -> TokenizerReading:
    """Read the tokenizer of a folder.

    Args:
        folder: of the encoder.
        config: config.json; empty where there is none.
        lower_case: whether texts are put in lower case before the tokenizer.

    Raises:
        ArtifactError: there is none, or a file asks for something that is not served.
    """
    document = _document(folder)
    fields = folder.fields(CONFIG)
    rules, words = rules_of(folder, fields, config)
    named = named_words(folder, fields, document)
    changes = TokenizerChanges(
        rules=rules,
        lowercase=fields.take("do_lower_case", bool, True),
        strip_accents=fields.take("strip_accents", bool, False)
        if "strip_accents" in fields
        else fields.raw("strip_accents"),
        chinese_characters=fields.take("tokenize_chinese_chars", bool, True),
        prefix_space=fields.take("add_prefix_space", bool, rules == "xlm-roberta"),
        lower_case_first=lower_case,
        special=unlisted_words(document, {**words, **named}),
    )
    _require_usual(fields)
    max_length = _max_length(fields)
    fields.ignore(NEUTRAL)
    fields.end()
    try:
        Tokenizer.from_str(json.dumps(document))  # as it is: transformers reads it before it replaces parts of it
        result = rewritten(document, changes)
        tokenizer = Tokenizer.from_str(json.dumps(result))
    except Exception as error:  # the bindings raise bare Exception
        raise ArtifactError(f"{FILE} is no tokenizer: {error}") from error
    if rules is not None:
        require_model(document, rules, {**words, **named}, tokenizer)
    _note(folder, document, result, changes)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    kept = changes.model_dump(exclude_defaults=True) if result != document else {}
    return TokenizerReading(kept, max_length, tokenizer, frozenset(special | set(named.values())))


def _document(folder: ModelFolder) -> dict[str, Any]:
    if not (folder.path / FILE).exists():
        raise ArtifactError(f"{folder.path} lacks {FILE}; save the tokenizer anew with a recent transformers")
    document = read_json(folder.path / FILE)
    model, added = document.get("model"), document.get("added_tokens")
    plain = isinstance(model, dict) and isinstance(model.get("vocab"), dict | list)
    if not plain or not isinstance(added, list) or not all(isinstance(t, dict) and "content" in t for t in added):
        raise ArtifactError(f"{FILE} is no tokenizer: it lacks model.vocab, or added_tokens is no list of tokens")
    return document


def _require_usual(fields: Fields) -> None:
    fields.refuse_null("padding_side", "truncation_side", "model_input_names")
    fields.require("padding_side", "right")
    fields.require("truncation_side", "right")
    fields.require("split_special_tokens", False)
    fields.require_empty("add_bos_token", "add_eos_token", "fix_mistral_regex")
    names = fields.raw("model_input_names")
    if names is not None and not (isinstance(names, list) and {"input_ids", "attention_mask"} <= set(map(str, names))):
        raise ArtifactError(
            f"{fields.where}: model_input_names is {names!r:.80}; it must have input_ids and attention_mask"
        )


def _max_length(fields: Fields) -> int | None:
    value = fields.raw("model_max_length")
    older = fields.raw("max_len")
    value = older if value is None else value
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 1 or value != int(value):
        raise ArtifactError(f"{fields.where}: model_max_length must be a whole number from 1, not {value!r:.60}")
    if isinstance(value, float) and value <= UNLIMITED:
        raise ArtifactError(
            f"{fields.where}: model_max_length is {value!r}; write it without a point, as the library needs it"
        )
    return int(value)


def _note(folder: ModelFolder, document: dict[str, Any], result: dict[str, Any], changes: TokenizerChanges) -> None:
    if result == document:
        folder.note("words", "as the file says", FILE)
        return
    for part in ("normalizer", "pre_tokenizer", "added_tokens"):
        if result.get(part) != document.get(part):
            folder.note(f"tokenizer.json's {part}", "replaced, as transformers would do", CONFIG)
    if changes.rules == "bert":
        folder.note("lower case", "yes" if changes.lowercase else "no", CONFIG if folder.has(CONFIG) else ASSUMED)

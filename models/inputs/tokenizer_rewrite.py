"""tokenizer.json as transformers would use it: some of its classes build the parts anew from tokenizer_config.json."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, StrictBool

Rules = Literal["bert", "roberta", "xlm-roberta"]


class TokenizerChanges(BaseModel):
    """What is changed in a tokenizer.json before it is used; ``config.tokenizer`` of a catalogue entry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: Rules | None = None  # whose normalizer and words; None keeps those of the file
    lowercase: StrictBool = True  # the next three: of BERT's normalizer
    strip_accents: StrictBool | None = None
    chinese_characters: StrictBool = True
    prefix_space: StrictBool = False  # of RoBERTa's words
    lower_case_first: StrictBool = False  # every text in lower case before the normalizer; accents stay
    special: list[str] = []  # words of the vocabulary that are found in any text


def rewritten(document: dict[str, Any], changes: TokenizerChanges) -> dict[str, Any]:
    """A tokenizer.json with the changes; equal to ``document`` where they change nothing.

    Raises:
        KeyError, TypeError: it is no tokenizer.json.
    """
    result = dict(document)
    if changes.rules is not None:
        result["normalizer"] = _normalizer(document.get("normalizer"), changes)
        result["pre_tokenizer"] = _words(changes)
    if changes.lower_case_first and not _lowers(result.get("normalizer")):
        steps = result.get("normalizer")
        later = steps["normalizers"] if steps and steps["type"] == "Sequence" else [steps] if steps else []
        result["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, *later]}
    vocabulary = document["model"]["vocab"]
    present = {token["content"] for token in document.get("added_tokens", [])}
    missing = [word for word in changes.special if word not in present]
    if missing:
        result["added_tokens"] = [*document.get("added_tokens", []), *(_added(word, vocabulary) for word in missing)]
        result["added_tokens"].sort(key=lambda token: token["id"])
    return result


def rewritten_bytes(content: bytes, changes: TokenizerChanges) -> bytes:
    """The same for the content of a file; these very bytes where nothing changes."""
    document = json.loads(content)
    result = rewritten(document, changes)
    return content if result == document else json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode()


def vocabulary_of(document: dict[str, Any]) -> dict[str, int]:
    """The words of the model in a tokenizer.json, by their ids."""
    words = document["model"]["vocab"]
    return dict(words) if isinstance(words, dict) else {word: i for i, (word, _) in enumerate(words)}


def _added(word: str, vocabulary: Any) -> dict[str, Any]:
    index = vocabulary[word] if isinstance(vocabulary, dict) else [w for w, _ in vocabulary].index(word)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": index, "content": word, **flags}


def _normalizer(found: dict[str, Any] | None, changes: TokenizerChanges) -> dict[str, Any] | None:
    if changes.rules == "bert":
        return {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": changes.chinese_characters,
            "strip_accents": changes.strip_accents,
            "lowercase": changes.lowercase,
        }
    if changes.rules == "roberta" or not found:
        return None
    steps = found["normalizers"] if found["type"] == "Sequence" else [found]
    return next((step for step in steps if step["type"] == "Precompiled"), None)


def _words(changes: TokenizerChanges) -> dict[str, Any]:
    if changes.rules == "bert":
        return {"type": "BertPreTokenizer"}
    if changes.rules == "roberta":
        space = changes.prefix_space
        return {"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": True, "use_regex": True}
    scheme = "always" if changes.prefix_space else "never"
    spaces = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": True}
    return {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, spaces]}


def _lowers(normalizer: dict[str, Any] | None) -> bool:
    if not normalizer:
        return False
    steps = normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
    return any(step["type"] == "Lowercase" for step in steps)

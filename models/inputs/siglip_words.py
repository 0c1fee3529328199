"""Texts as SigLIP's own tokenizer takes them: in lower case, without punctuation, with single spaces; and its tokenizer."""

from __future__ import annotations

import base64
import json
import re
import string
from typing import Any

from models.errors import ArtifactError
from models.inputs.sentencepiece_file import read_sentencepiece

FILE = "spiece.model"
END, UNKNOWN = "</s>", "<unk>"  # its only words that a text may spell out
SPACE = "▁"
WITHOUT_MARKS = str.maketrans("", "", string.punctuation)
SPACES = re.compile(r"\s+")
SPELLED = re.compile(f"({END}|{UNKNOWN})")


class SiglipWords:
    """Prepares texts for the tokenizer that ``siglip_tokenizer`` makes, as transformers' SiglipTokenizer does."""

    def __init__(self, *, lower_case: bool) -> None:
        """Keep the case, or not."""
        self._lower_case = lower_case

    def __call__(self, text: str) -> str:
        """The text with the sign of a space in front; what stands between spelled-out special words is prepared for itself."""
        text = SPACE + text.replace(SPACE, " ")
        if "<" not in text:
            return self._plain(text)
        return "".join(part if part in (END, UNKNOWN) else self._plain(part) for part in SPELLED.split(text))

    def _plain(self, text: str) -> str:
        text = text.lower() if self._lower_case else text
        return SPACES.sub(" ", text.translate(WITHOUT_MARKS)).strip()


def siglip_tokenizer(content: bytes) -> str:
    """The text of a tokenizer.json that does with prepared texts what SentencePiece does with this file.

    Raises:
        ArtifactError: it is no file of SentencePiece, or works in a way that is not served.
    """
    found = read_sentencepiece(content)
    words = [piece for piece, _ in found.pieces]
    if END not in words or words[found.unknown] != UNKNOWN:
        raise ArtifactError(f"it has not the pieces {END} and {UNKNOWN}, which SigLIP's tokenizer adds and looks for")
    end = words.index(END)
    steps: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"Regex": " +"}, "content": SPACE},
        {"type": "Replace", "pattern": {"Regex": f"{SPACE}+$"}, "content": ""},
    ]
    if found.characters:
        table = base64.b64encode(found.characters).decode()
        steps.insert(0, {"type": "Precompiled", "precompiled_charsmap": table})
    flags = {"single_word": False, "lstrip": True, "rstrip": True, "normalized": False, "special": True}
    added = sorted((i, word) for i, word in ((end, END), (found.unknown, UNKNOWN)))
    finish = {"SpecialToken": {"id": END, "type_id": 0}}
    one, other = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": word, **flags} for i, word in added],
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [one, finish],
            "pair": [one, finish, other, finish],
            "special_tokens": {END: {"id": END, "ids": [end], "tokens": [END]}},
        },
        "decoder": None,
        "model": {"type": "Unigram", "unk_id": found.unknown, "vocab": found.pieces, "byte_fallback": found.in_bytes},
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))

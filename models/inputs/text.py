"""Text → token ids, by the model's own tokenizer.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from models.errors import ArtifactError, InputError
from models.inputs.prompted import Prompted
from models.inputs.text_cut import TextCut
from models.inputs.token_ids import Ids

CHARACTERS_PER_TOKEN = 8  # of a text that is tokenised at once: twice as many as English has
GROWTH = 4  # of the part that is tried next, where the first brought too few tokens


class TextTokenizer:
    """Turns texts into token ids, truncated but not padded, and completes ready-made ids."""

    def __init__(
        self,
        path: Path,
        max_length: int,
        *,
        lower_case: bool | None = None,
        prompt: str = "",
        prompts: Mapping[str, str] | None = None,
        words: Callable[[str], str] | None = None,
    ) -> None:
        """Load a tokenizer.json.

        Args:
            path: the file. Its truncation and padding settings are ignored (MiniLM's says 128 tokens, the model takes 256).
            max_length: tokens per text, special tokens included.
            lower_case: replaces the setting of a BERT normaliser; None keeps it.
            prompt: what stands before every text, and before ready-made ids.
            prompts: by name, what may stand there instead.
            words: what is done to every text before the tokenizer gets it; such tokenizers need no start token.

        Raises:
            ArtifactError: the file is missing, or is no tokenizer with start and end tokens.
        """
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the bindings raise bare Exception for a missing and for a malformed file
            raise ArtifactError(f"tokenizer {path.name} does not load: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        normalizer = self._tokenizer.normalizer
        if lower_case is not None and hasattr(normalizer, "lowercase"):
            normalizer.lowercase = lower_case
        self.max_length = max_length
        self.vocabulary = self._tokenizer.get_vocab_size(with_added_tokens=True)
        self.unknown = self._unknown_id()
        empty = self._tokenizer.encode("").ids
        if len(empty) < (2 if words is None else 1):
            raise ArtifactError(f"tokenizer {path.name} adds no start and end tokens")
        self._start, self._end = empty[:-1][:1], empty[-1]
        self._added = len(self._start) + 1
        self._words = words
        self._prompt = prompt
        self._prompts = dict(prompts or {})
        self._prompt_ids = self._ids_of(prompt)
        self._cut = TextCut(self._tokenizer)
        self._enough = CHARACTERS_PER_TOKEN * max_length

    def _unknown_id(self) -> int:
        """The id of what is in no piece of the vocabulary; -1 where it has pieces for every byte."""
        model = self._tokenizer.model
        piece = getattr(model, "unk_token", None)
        found = self._tokenizer.token_to_id(piece) if piece else getattr(model, "unk_id", None)
        return -1 if found is None else int(found)

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Token ids of each text, truncated to ``max_length``, int32 [t].

        Raises:
            InputError: a text is not valid Unicode.
        """
        return self._encoded([self._prompt + text for text in texts] if self._prompt else texts)

    def with_prompt(self, item: Prompted) -> Ids:
        """Token ids of a text, or ready-made ones, behind the prompt that they name, int32 [t].

        Raises:
            InputError: there is no such prompt, the text is not valid Unicode, or an id lies outside the vocabulary.
        """
        prompt = self._text_of(item.prompt)
        if isinstance(item.content, str):
            return self._encoded([prompt + item.content])[0]
        return self.wrap(item.content, self._ids_of(prompt))

    def _text_of(self, prompt: str) -> str:
        if prompt not in self._prompts:  # the artifact was swapped since the gateway looked
            known = ", ".join(self._prompts) or "none"
            raise InputError(f"this model has no prompt {prompt!r:.40}; there are: {known}", code="unknown_prompt")
        return self._prompts[prompt]

    def _ids_of(self, prompt: str) -> list[int]:
        return self._tokenizer.encode(prompt).ids[1:-1] if prompt else []

    def _encoded(self, texts: Sequence[str]) -> list[Ids]:
        if self._words is not None:
            texts = [self._words(text) for text in texts]
        if all(len(text) <= self._enough for text in texts):
            return self._ids(texts)
        for text in texts:
            _require_unicode(text)  # also behind the cut
        rows: dict[int, Ids] = {}
        left, length = list(range(len(texts))), self._enough
        while left:
            parts = [self._cut.beginning(texts[i], length) for i in left]
            found = zip(left, parts, self._ids(parts), strict=True)
            rows |= {i: row for i, part, row in found if len(row) == self.max_length or len(part) == len(texts[i])}
            left, length = [i for i in left if i not in rows], length * GROWTH
        return [rows[i] for i in range(len(texts))]

    def behind(self, item: str | tuple[int, ...] | Prompted) -> int:
        """How much of an item lies behind its last token that is kept: characters of a text, ids of a list.

        Only as much of a text is read as is needed, however long it is. What has no tokens, such as spaces at its end, is not
        missing.
        """
        prompt = self._prompt
        if isinstance(item, Prompted):
            prompt, item = self._text_of(item.prompt), item.content
        if not isinstance(item, str):
            return max(0, len(self._ids_of(prompt)) + len(self._inner(item)) - (self.max_length - self._added))
        text, length = prompt + item, self._enough
        if self._words is not None:
            text = self._words(text)
        while True:
            part = self._cut.beginning(text, length)
            encoding = self._tokenizer.encode(part)
            if len(encoding.ids) == self.max_length or len(part) == len(text):
                break
            length *= GROWTH
        read = max((end for _, end in encoding.offsets), default=0)
        rest = text[read:]
        if not encoding.overflowing and not self._holds_tokens(rest):
            return 0
        return min(len(rest), len(item))

    def _holds_tokens(self, text: str) -> bool:
        text = text.strip()
        return bool(text) and len(self._tokenizer.encode(text[: self._enough]).ids) > self._added

    def _ids(self, texts: Sequence[str]) -> list[Ids]:
        try:
            encodings = self._tokenizer.encode_batch_fast(list(texts))
        except TypeError as error:  # a lone surrogate, which JSON can write and UTF-8 cannot
            raise _no_unicode() from error
        return [np.array(e.ids, np.int32) for e in encodings]

    def wrap(self, ids: Sequence[int], prompt: Sequence[int] | None = None) -> Ids:
        """Ready-made ids with start and end tokens, truncated to ``max_length``, int32 [t].

        Start and end tokens are added only if they are missing. So the ids give the same vector as their text, whether
        or not the client's tokeniser added these tokens.

        Args:
            ids: without the prompt's.
            prompt: the ids of the prompt before them; None for those of the one before every text.

        Raises:
            InputError: an id lies outside the vocabulary.
        """
        bad = next((i for i in ids if not 0 <= i < self.vocabulary), None)
        if bad is not None:
            raise InputError(
                f"token id {bad} is outside this model's vocabulary of {self.vocabulary} ids (0 to "
                f"{self.vocabulary - 1}); send text, or ids made by this model's own tokenizer",
                code="token_out_of_vocabulary",
            )
        inner = [*(self._prompt_ids if prompt is None else prompt), *self._inner(ids)][: self.max_length - self._added]
        return np.array([*self._start, *inner, self._end], np.int32)

    def _inner(self, ids: Sequence[int]) -> list[int]:
        """Ids without start and end tokens, where they have them."""
        inner = list(ids)
        if inner[:1] == self._start:
            inner = inner[len(self._start) :]
        if inner and inner[-1] == self._end:
            inner = inner[:-1]
        return inner


def _require_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _no_unicode() from error


def _no_unicode() -> InputError:
    return InputError("text must be valid Unicode, without lone surrogates", code="invalid_text")

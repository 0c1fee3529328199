"""Texts → token ids, as one model's tokenizer makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from models.errors import InputError
from models.inputs.prompted import Prompted
from models.inputs.siglip_words import SiglipWords
from models.inputs.text import TextTokenizer
from models.modalities.base import Item, Prepared
from models.modalities.text_config import TextConfig

if TYPE_CHECKING:
    from pathlib import Path

QUICK_CHARACTERS = 1024  # tokenised where they arrive: 0.3 ms, where another thread's turn costs 0.1 to 0.2


def tokenizer_of(file: Path, config: TextConfig) -> TextTokenizer:
    """A model's tokenizer, with the prompts of its configuration.

    Raises:
        ArtifactError: the file is missing, or is no tokenizer with start and end tokens.
    """
    return TextTokenizer(
        file,
        config.max_sequence_length,
        lower_case=config.do_lower_case,
        prompt=config.prompt,
        prompts=config.selectable,
        words=SiglipWords(lower_case=config.siglip_words == "lower") if config.siglip_words else None,
    )


class Tokenise:
    """Turns texts and token ids into int32 [t]; runs in the encoder's process, which holds the tokenizer."""

    apart: ClassVar[bool] = False  # the tokenizer takes many at once, in threads of its own
    portable: ClassVar[bool] = False

    def __init__(self, tokenizer: TextTokenizer) -> None:
        """Use ``tokenizer``."""
        self._tokenizer = tokenizer

    def quick(self, items: Sequence[Item]) -> bool:
        """Whether they are short enough to be tokenised here."""
        return sum(map(len, items)) <= QUICK_CHARACTERS

    def __call__(self, items: Sequence[Item]) -> list[Prepared]:
        """For each item its token ids, or the error that explains why there are none."""
        encoded = iter(self._tokenizer.encode([item for item in items if isinstance(item, str)]))
        return [next(encoded) if isinstance(item, str) else self._other(item) for item in items]

    def _other(self, item: Item) -> Prepared:
        """Token ids, and whatever has a prompt of its own."""
        try:
            if isinstance(item, tuple):
                return self._tokenizer.wrap(item)
            if isinstance(item, Prompted):
                return self._tokenizer.with_prompt(item)
        except InputError as error:
            return error
        return InputError("this model embeds text, not images", code="wrong_modality")

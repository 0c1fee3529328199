"""A text before which a named prompt of the model stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prompted:
    """A text or ready-made token ids, and the name of the prompt that stands before it, in the place of the one before every text."""

    prompt: str  # a name of the model's configuration
    content: str | tuple[int, ...]

    def __len__(self) -> int:
        """Characters, or ids, without the prompt's."""
        return len(self.content)

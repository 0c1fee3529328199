"""What is asked of every system: shapes of requests and numbers of clients."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "image-raw", "image-base64"]
SLOWEST = 8000  # tokens per second that every system reaches: long enough that each client gets an answer
OUTSTANDING = 100_000  # tokens of all clients together: more would take every system a minute per answer


@dataclass(frozen=True)
class Load:
    """A closed loop: each client sends its next request when it has the answer to the last."""

    kind: Kind
    items: int  # texts or pictures per request
    tokens: int  # per text, start and end included; 0 for pictures
    clients: int
    rounds: int
    seconds: float
    cached: bool = False  # the same inputs again and again

    @property
    def name(self) -> str:
        """Unique among loads: ``text 16×13 c32``."""
        if self.kind == "text":
            return f"text {self.items}×{self.tokens} c{self.clients}" + (" cached" if self.cached else "")
        return f"{self.kind} c{self.clients}"

    @property
    def modality(self) -> Literal["text", "image"]:
        """What the inputs are."""
        return "text" if self.kind == "text" else "image"


@dataclass(frozen=True)
class Plan:
    """A whole run."""

    loads: tuple[Load, ...]
    warm_s: float
    search_s: float  # each step of the search for the sustainable rate
    overload_s: float
    unloaded_s: float


def chosen(loads: Sequence[Load], names: str) -> tuple[Load, ...]:
    """The loads of some names.

    Args:
        loads: all there are.
        names: separated by commas; an ``x`` between digits may stand for ``×``.

    Raises:
        ValueError: a name is unknown; the message lists those there are.
    """
    by_name = {load.name: load for load in loads}
    wanted = [re.sub(r"(?<=\d)x(?=\d)", "×", name.strip()) for name in names.split(",")]
    unknown = [name for name in wanted if name not in by_name]
    if unknown:
        raise ValueError(f"no load is called {', '.join(unknown)}; there are: {', '.join(by_name)}")
    return tuple(by_name[name] for name in wanted)


def quick_plan() -> Plan:
    """The loads that have a bar, briefly."""
    texts = [_text(1, 13, 1, 1, 2.0), _text(1, 13, 32, 2, 2.0), _text(16, 13, 32, 2, 3.0)]
    pictures = [Load("image-raw", 1, 0, 8, 1, 3.0), Load("image-base64", 1, 0, 8, 1, 3.0)]
    hits = [_text(1, 13, 32, 1, 2.0, cached=True)]
    return Plan((*texts, *pictures, *hits), warm_s=1.0, search_s=2.0, overload_s=10.0, unloaded_s=3.0)


def full_plan() -> Plan:
    """Every load; those with a bar in three rounds."""
    barred = [(1, 13, 1), (1, 13, 32), (16, 13, 32)]
    texts = [_text(*shape, 3, 4.0) for shape in barred]
    texts += [
        _text(items, tokens, clients, 1, 3.0 + items * tokens * clients / SLOWEST)
        for items in (1, 16)
        for tokens in (13, 128)
        for clients in (1, 8, 32, 128)
        if (items, tokens, clients) not in barred and items * tokens * clients <= OUTSTANDING
    ]
    pictures = [Load("image-raw", 1, 0, 8, 3, 4.0), Load("image-raw", 1, 0, 1, 1, 4.0)]
    pictures += [Load("image-base64", 1, 0, clients, 1, 4.0) for clients in (1, 8)]
    hits = [_text(1, 13, 32, 3, 4.0, cached=True)]
    return Plan((*texts, *pictures, *hits), warm_s=1.0, search_s=5.0, overload_s=60.0, unloaded_s=10.0)


def _text(items: int, tokens: int, clients: int, rounds: int, seconds: float, *, cached: bool = False) -> Load:
    return Load("text", items, tokens, clients, rounds, seconds, cached)

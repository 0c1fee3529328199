"""What is asked of every system: the shape of the requests and the number of clients."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

SLOWEST = 8000  # tokens per second that every system reaches: long enough that each client gets an answer
OUTSTANDING = 100_000  # tokens of all clients together: more would take every system a minute per answer


@dataclass(frozen=True)
class Load:
    """A closed loop: each client sends its next request when it has the answer to the last."""

    modality: str
    items: int  # texts or pictures per request
    tokens: int  # per text, start and end included; 0 for pictures
    clients: int
    rounds: int
    seconds: float
    cached: bool = False  # the same inputs again and again
    encoding: Literal["raw", "base64"] = "raw"  # of a picture: the body itself, or a data URI in JSON

    @property
    def name(self) -> str:
        """Unique among loads: ``text 16×13 c32``, ``image-raw c8``."""
        if self.modality == "text":
            return f"text {self.items}×{self.tokens} c{self.clients}" + (" cached" if self.cached else "")
        return f"image-{self.encoding} c{self.clients}"


ONE, MANY, ALONE, HITS = (
    Load("text", 1, 13, 32, 3, 4.0),
    Load("text", 16, 13, 32, 3, 4.0),
    Load("text", 1, 13, 1, 3, 4.0),
    Load("text", 1, 13, 32, 3, 4.0, cached=True),
)
RAW = Load("image", 1, 0, 8, 3, 4.0)
BARRED = (ALONE, ONE, MANY)
OVERLOAD = "overload"  # what the open loop is called among the loads' names


@dataclass(frozen=True)
class Plan:
    """A whole run."""

    loads: tuple[Load, ...]
    warm_s: float
    search_s: float  # each step of the search for the sustainable rate
    overload_s: float
    unloaded_s: float
    overload: bool = True

    def only(self, names: str) -> Plan:
        """The loads of some names, separated by commas; ``overload`` is the open loop.

        Raises:
            ValueError: a name is unknown, or the open loop lacks the load whose rate it begins with.
        """
        wanted = _names(names)
        loads = chosen(self.loads, ",".join(name for name in wanted if name != OVERLOAD), OVERLOAD)
        if OVERLOAD in wanted and ONE.name not in wanted:
            raise ValueError(f"{OVERLOAD} begins with the rate of {ONE.name}: name that load as well")
        return replace(self, loads=loads, overload=OVERLOAD in wanted)


def chosen(loads: Sequence[Load], names: str, *others: str) -> tuple[Load, ...]:
    """The loads of some names.

    Args:
        loads: all there are.
        names: separated by commas; an ``x`` between digits may stand for ``×``.
        others: further names that the message of an error lists.

    Raises:
        ValueError: a name is unknown; the message lists those there are.
    """
    by_name = {load.name: load for load in loads}
    wanted = _names(names)
    unknown = [name for name in wanted if name not in by_name]
    if unknown:
        raise ValueError(f"no load is called {', '.join(unknown)}; there are: {', '.join([*by_name, *others])}")
    return tuple(by_name[name] for name in wanted)


def _names(listed: str) -> list[str]:
    return [re.sub(r"(?<=\d)x(?=\d)", "×", name.strip()) for name in listed.split(",") if name.strip()]


def quick_plan() -> Plan:
    """The loads that have a bar, briefly."""
    texts = [replace(ALONE, rounds=1, seconds=2.0), replace(ONE, rounds=2, seconds=2.0)]
    texts.append(replace(MANY, rounds=2, seconds=3.0))
    pictures = [replace(RAW, rounds=1, seconds=3.0), replace(RAW, rounds=1, seconds=3.0, encoding="base64")]
    hits = replace(HITS, rounds=1, seconds=2.0)
    return Plan((*texts, *pictures, hits), warm_s=1.0, search_s=2.0, overload_s=10.0, unloaded_s=3.0)


def full_plan() -> Plan:
    """Every load; those with a bar in three rounds."""
    texts = [
        Load("text", items, tokens, clients, 1, 3.0 + items * tokens * clients / SLOWEST)
        for items in (1, 16)
        for tokens in (13, 128)
        for clients in (1, 8, 32, 128)
        if items * tokens * clients <= OUTSTANDING
    ]
    barred = {load.name for load in BARRED}
    texts = [*BARRED, *(load for load in texts if load.name not in barred)]
    pictures = [RAW, replace(RAW, clients=1, rounds=1)]
    pictures += [replace(RAW, clients=clients, rounds=1, encoding="base64") for clients in (1, 8)]
    return Plan((*texts, *pictures, HITS), warm_s=1.0, search_s=5.0, overload_s=60.0, unloaded_s=10.0)

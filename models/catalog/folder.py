"""A model folder that is being read: where it lies, what its owner asks for, and what was found in which file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.catalog.fields import Fields, read_json

ASSUMED = "assumed"
ASKED = "asked for"


@dataclass(frozen=True)
class Wishes:
    """What the owner of a model says where its files are silent, or against them; None leaves it to the files."""

    pooling: tuple[str, ...] | None = None
    max_length: int | None = None
    lower_case: bool | None = None
    normalize: bool | None = None
    prompts: Mapping[str, str] | None = None  # by name, beside those of the files
    batch_dependent: bool = False  # take a graph whose vectors depend on the other inputs of a batch


@dataclass(frozen=True)
class Fact:
    """One line of a model's card."""

    what: str
    value: str
    source: str  # the file that says it, ``assumed``, or ``asked for``


@dataclass
class ModelFolder:
    """A folder, and the facts that are gathered while it is read."""

    path: Path
    wishes: Wishes = field(default_factory=Wishes)
    facts: list[Fact] = field(default_factory=list)

    def fields(self, name: str) -> Fields:
        """The object in one of its JSON files; empty where there is none."""
        return Fields.of_file(self.path / name, self.path)

    def json(self, name: str) -> dict[str, Any]:
        """The same as a plain dictionary."""
        return read_json(self.path / name)

    def has(self, name: str) -> bool:
        """Whether a file of this name, or at this path, is there."""
        return (self.path / name).is_file()

    def note(self, what: str, value: object, source: str) -> None:
        """Add a line to the card."""
        self.facts.append(Fact(what, str(value), source))

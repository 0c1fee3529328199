"""A job's own notes: what it was begun with, and which blocks are done. They make it possible to go on after any end."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TypeVar

import orjson
from pydantic import ValidationError

from deployments.backfill.storage import Storage
from deployments.backfill.uris import below
from deployments.config.base import Strict
from models.errors import JobError
from models.validation import describe

RUN = re.compile(r"run-(\d+)")
MANIFEST, END, BAD = "manifest.json", "complete.json", "bad.jsonl"
SHOWN_S = 5.0  # in which a file that another node wrote is seen here
T = TypeVar("T", bound=Strict)


class Manifest(Strict):
    """What a run was begun with; its blocks mean nothing without it."""

    format: int = 1
    run: int
    reference: str
    hash: str
    numerics: str
    weights: str
    dimensions: int
    stored_as: str
    source: str
    id: str
    column: str
    files: dict[str, str]  # fingerprints of the source's files
    block_rows: int
    blocks: int
    rows: int
    prompt: str = ""


class BadRow(Strict):
    """A row that has no vector, and why."""

    id: str | int | None
    file: str
    row: int  # of the file, from 0
    code: str
    reason: str


class Block(Strict):
    """A block that is in the sink."""

    number: int
    rows: int  # that have a vector
    kept: int = 0  # that had one before
    bad: tuple[BadRow, ...] = ()
    engine_s: float = 0
    time: str = ""


@dataclass(frozen=True)
class Run:
    """The notes of one run: a pass over a source as it was then."""

    storage: Storage  # of the run

    def begin(self, manifest: Manifest) -> None:
        """Note what it begins with."""
        self.storage.write(MANIFEST, orjson.dumps(manifest.model_dump(), option=orjson.OPT_INDENT_2))

    def manifest(self) -> Manifest | None:
        """What it was begun with; None if it was not."""
        data = self.storage.read(MANIFEST)
        return None if data is None else _parsed(Manifest, data, f"{self.storage.uri}/{MANIFEST}")

    def note(self, block: Block) -> None:
        """A block is in the sink."""
        self.storage.below("blocks").write(_name(block), orjson.dumps(block.model_dump()))

    def has_noted(self, block: Block) -> bool:
        """Whether a note that a node wrote stands here too. A disk that nodes share may show it late; object stores are one for all."""
        folder, deadline = self.storage.below("blocks").local, time.monotonic() + SHOWN_S
        while folder is not None and not (folder / _name(block)).exists():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def blocks(self) -> dict[int, Block]:
        """The blocks that are in the sink, by number."""
        storage = self.storage.below("blocks")
        found = [_parsed(Block, storage.read(name) or b"", f"{storage.uri}/{name}") for name in storage.names(".json")]
        return {block.number: block for block in found}

    def end(self, summary: dict[str, object]) -> None:
        """Every block is in the sink, and what they replaced is gone."""
        self.storage.write(END, orjson.dumps(summary, option=orjson.OPT_INDENT_2))

    @property
    def ended(self) -> bool:
        """Whether it is complete."""
        return self.storage.read(END) is not None

    @property
    def bad_file(self) -> str:
        """Where its bad rows are gathered."""
        return below(self.storage.uri, BAD)

    def write_bad(self, blocks: dict[int, Block]) -> str | None:
        """Gather the bad rows of all blocks in one file; its path, or None if there are none."""
        lines = [orjson.dumps(bad.model_dump()) for _, block in sorted(blocks.items()) for bad in block.bad]
        if not lines:
            return None
        self.storage.write(BAD, b"\n".join(lines) + b"\n")
        return self.bad_file


@dataclass(frozen=True)
class Ledger:
    """The notes of every run into one sink."""

    storage: Storage

    def run(self, number: int) -> Run:
        """One of them, from 1."""
        return Run(self.storage.below(f"run-{number:04d}"))

    def last(self) -> tuple[int, Run, Manifest] | None:
        """The last that was begun; None if there is none. Numbers that the sink had from other notes are left out."""
        numbers = [int(found[1]) for name in self.storage.names("") if (found := RUN.fullmatch(name))]
        for number in sorted(numbers, reverse=True):
            if (manifest := self.run(number).manifest()) is not None:
                return number, self.run(number), manifest
        return None


def _name(block: Block) -> str:
    return f"{block.number:08d}.json"


def _parsed(kind: type[T], data: bytes, where: str) -> T:
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise JobError(
            f"{where} is damaged: {describe(error)}; name another sink, or remove it to begin anew"
        ) from error

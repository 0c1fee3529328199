from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.backfill.catalogue import WORDS
from deployments.backfill.executor import Executor, HereExecutor
from deployments.backfill.job import Job, Machines, Rows, Rules, Vectors
from deployments.backfill.ledger import Block
from deployments.backfill.run import backfill

MODEL = "text-embedding@1.0.0"


def titles(count: int, seed: int = 0) -> list[str]:
    """Texts of 1 to 12 words, each different."""
    generator = random.Random(seed)
    return [f"{' '.join(generator.choices(WORDS, k=generator.randint(1, 12)))} {i}" for i in range(count)]


def write_rows(path: Path, texts: list[str | None], first: int = 0) -> Path:
    ids = [f"p{i}" for i in range(first, first + len(texts))]
    pq.write_table(pa.table({"sku": ids, "title": pa.array(texts, pa.string())}), path, row_group_size=7)
    return path


def job(source: Path | str, sink: Path | str, *, column: str = "title", model: str = MODEL, **rules: Any) -> Job:
    """A job of small blocks in this process."""
    settings = {"block_rows": 8, **rules}
    return Job(Rows(str(source), "sku", column), Vectors(model, str(sink)), Machines(), replace(Rules(), **settings))


@dataclass
class Followed:
    """What a job told of its progress."""

    total: int = 0
    done: int = 0
    blocks: list[Block] = field(default_factory=list)

    def begin(self, total: int, done: int, bad: int, engines: int) -> None:
        self.total, self.done = total, done

    def note(self, block: Block, engines: int) -> None:
        self.blocks.append(block)


class StoppedError(Exception):
    """The job was ended between two blocks."""


class Stopping(HereExecutor):
    """Ends after some blocks, as a killed process does: without a word."""

    def __init__(self, machines: Machines, after: int) -> None:
        super().__init__(machines)
        self._after = after

    def run(self, *args: Any) -> Iterator[Any]:
        for count, outcome in enumerate(super().run(*args), 1):
            yield outcome
            if count == self._after:
                raise StoppedError


def run(wanted: Job, after: int | None = None) -> tuple[dict[str, Any], Followed]:
    """Run a job in this process, to its end or to that of a block."""
    progress = Followed()

    @contextmanager
    def here(machines: Machines) -> Iterator[Executor]:
        yield HereExecutor(machines) if after is None else Stopping(machines, after)

    return backfill(wanted, here, progress), progress


def rows_in(sink: Path) -> pa.Table:
    """Every row of a sink, as any reader of Parquet folders sees it."""
    return pq.read_table(sink).sort_by("id")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "products.parquet", list(titles(50)))

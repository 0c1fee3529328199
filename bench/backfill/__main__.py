"""``python -m bench.backfill rate|memory|actors|nodes|beside``: each prints one JSON document.

``rate`` embeds 50,000 texts and 2,000 pictures by the command, and some of them by the bare engine on the same cores, once before
and once after. ``memory`` gives the peaks for 10,000 rows and more with an engine that only waits, ``actors`` what 1, 2, 4 and 8 of
these bring, ``nodes`` the same on a cluster of four nodes, and ``beside`` the p99 of 16 interactive clients beside a job through the service.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from bench.backfill import catalogue
from bench.backfill.beside import beside
from bench.backfill.memory import PeakMemory
from bench.backfill.nodes import nodes
from bench.backfill.stub_engine import PLACES, SECONDS, StubEngine
from deployments.backfill.job import Job, Machines, Rows, Rules, Vectors
from deployments.backfill.ledger import Block
from deployments.backfill.model import Wanted, open_model, preparation
from deployments.backfill.ray_executor import connected
from deployments.backfill.run import backfill
from models.modalities.base import Item

TEXT, IMAGE = "text-embedding@1.0.0", "image-embedding@1.0.0"
CORES = len(os.sched_getaffinity(0))
BARE_ITEMS = 256  # prepared and embedded at a time by the bare engine
BLOCK_ROWS, BLOCKS = 8, 36  # of engines that only wait: rows of a block, and blocks for each engine
BARE_PART = 5  # of the rows, the part that the bare engine embeds before and after the command


class Times:
    """When blocks came back, and with how many rows."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        self.rows: list[int] = []

    @property
    def steady(self) -> float:
        """Rows a second from the first block to the last: without starting engines."""
        return sum(self.rows[1:]) / max(self.seen[-1] - self.seen[0], 1e-9)

    def begin(self, total: int, done: int, bad: int, engines: int) -> None:
        """Nothing to show."""

    def note(self, block: Block, engines: int) -> None:  # noqa: ARG002 - nothing of it is measured
        """One more."""
        self.seen.append(time.perf_counter())
        self.rows.append(block.rows)


def bare(reference: str, items: list[Item], threads: int) -> tuple[float, float]:
    """Rows a second of the engine with its preparation in one process, and of the engine alone."""
    embedder = open_model(Wanted(reference, "development"), threads, 0)
    prepare = preparation(Wanted(reference, "development"))
    start, engine_s = time.perf_counter(), 0.0
    for first in range(0, len(items), BARE_ITEMS):
        rows = [row for row in prepare(items[first : first + BARE_ITEMS]) if not isinstance(row, Exception)]
        began = time.perf_counter()
        embedder.embed_rows(rows)
        engine_s += time.perf_counter() - began
    return len(items) / (time.perf_counter() - start), len(items) / engine_s


def rate(folder: Path, counts: dict[str, int]) -> dict[str, Any]:
    """The command beside the bare engine."""
    found: dict[str, Any] = {}
    for name, reference in (("texts", TEXT), ("pictures", IMAGE)):
        if not counts[name]:
            continue
        source = (
            catalogue.texts(folder / name, counts[name])
            if name == "texts"
            else catalogue.pictures(folder / name, counts[name])
        )
        rows = Rows(str(source), "sku", "title") if name == "texts" else Rows(str(source), "", "")
        job = Job(
            rows, Vectors(reference, str(folder / f"{name}-sink")), Machines(None, (1, 1), CORES, 0, max(1, CORES // 2))
        )
        items = _items(source, name)
        some = items[: max(BARE_ITEMS, len(items) // BARE_PART)]
        before = bare(reference, some, CORES)
        times, start = Times(), time.perf_counter()
        summary = backfill(job, connected, times)["this_start"]
        whole = len(items) / (time.perf_counter() - start)
        after = bare(reference, some, CORES)
        with_preparation, engine = ((one + other) / 2 for one, other in zip(before, after, strict=True))
        found[name] = {
            "rows": len(items),
            "command": round(whole, 2),
            "command_without_start_of_ray": summary["rows_per_second"],
            "command_from_first_to_last_block": round(times.steady, 2),
            "bare_engine_with_preparation": [round(before[0], 2), round(after[0], 2)],
            "bare_engine_alone": [round(before[1], 2), round(after[1], 2)],
            "ratio_to_bare_with_preparation": round(whole / with_preparation, 3),
            "ratio_to_bare_alone": round(whole / engine, 3),
            "ratio_from_first_to_last_block": round(times.steady / with_preparation, 3),
            "engine_utilisation": summary["engine_utilisation"],
        }
    return found


def _items(source: Path, name: str) -> list[Item]:
    if name == "pictures":
        return [path.read_bytes() for path in sorted(source.iterdir())]
    import pyarrow.parquet as pq

    titles: list[Item] = pq.read_table(source).column("title").to_pylist()
    return titles


def memory(folder: Path, sizes: list[int]) -> dict[str, Any]:
    """The peak of each size."""
    found: dict[str, Any] = {}
    for size in sizes:
        source = catalogue.texts(folder / "rows", size)
        job = Job(
            Rows(str(source), "sku", "title"), Vectors(TEXT, str(folder / "sink")), Machines(None, (1, 1), 1, 0, 1)
        )
        with PeakMemory(os.getpid()) as seen:
            summary = backfill(job, partial(connected, engine=StubEngine), Times())
        found[str(size)] = {"peak_mib": round(seen.peak), "seconds": summary["this_start"]["seconds"]}
        print(size, found[str(size)], file=sys.stderr, flush=True)
        shutil.rmtree(folder)
    return found


def actors(folder: Path, counts: list[int], seconds: float, address: str | None) -> dict[str, Any]:
    """Blocks a second that engines have ready while all are at work: on a cluster that knows the variables, or on a Ray of its own."""
    places = Path(os.environ.get(PLACES) or folder.with_name("places"))
    places.mkdir(exist_ok=True)
    os.environ |= {SECONDS: str(seconds), PLACES: str(places)}
    found: dict[str, float] = {}
    nodes_of: dict[str, int] = {}
    for count in counts:
        source = catalogue.texts(folder / "rows", BLOCK_ROWS * BLOCKS * count)
        job = Job(
            Rows(str(source), "sku", "title"),
            Vectors(TEXT, str(folder / "sink")),
            Machines(address, (count, count), 1, 0, 1),
        )
        backfill(replace(job, rules=Rules(block_rows=BLOCK_ROWS)), partial(connected, engine=StubEngine), Times())
        ready = sorted(float(line) for file in places.iterdir() for line in file.read_text().split())
        steady = ready[len(ready) // 3 : -2 * count]  # without filling and emptying
        found[str(count)] = round((len(steady) - 1) / (steady[-1] - steady[0]), 3)
        nodes_of[str(count)] = len({file.name.partition("-")[0] for file in places.iterdir()})
        print(count, found[str(count)], file=sys.stderr, flush=True)
        shutil.rmtree(folder)
        for file in places.iterdir():
            file.unlink()
    one = found[str(counts[0])] / counts[0]
    return {
        "block_s": seconds,
        "blocks_per_second": found,
        "nodes": nodes_of,
        "of_linear": {n: round(r / int(n) / one, 3) for n, r in found.items()},
    }


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.backfill", description=__doc__)
    parser.add_argument("what", choices=("rate", "memory", "actors", "nodes", "beside"))
    parser.add_argument("--texts", type=int, default=50_000)
    parser.add_argument("--pictures", type=int, default=2_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--block-s", type=float, default=1.0, help="seconds that the waiting engine takes for a block")
    parser.add_argument("--address", help="of a Ray cluster, for `actors`; a Ray of its own when left out")
    parser.add_argument("--alone-s", type=float, default=30.0, help="seconds that clients are measured without the job")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-backfill-"))
    try:
        if asked.what == "rate":
            found = rate(folder, {"texts": asked.texts, "pictures": asked.pictures})
        elif asked.what == "memory":
            found = memory(folder / "x", asked.sizes)
        elif asked.what == "beside":
            found = beside(folder, asked.alone_s, asked.texts)
        elif asked.what == "nodes":
            found = nodes(asked.actors, asked.block_s)
        else:
            found = actors(folder / "x", asked.actors, asked.block_s, asked.address)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()

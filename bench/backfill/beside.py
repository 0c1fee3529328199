"""What interactive callers notice of a job through the same service: their p99 with and without it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from bench.backfill import catalogue
from bench.systems import ours
from models.http_client import direct

CLIENTS = 16
PAUSE_S = 0.2  # between two requests of a client, as people type
BODY = {"model": "text-embedding@1.0.0", "input": "hello"}


class Clients:
    """Threads that ask for one new text at a time, and note how long each took."""

    def __init__(self, url: str) -> None:
        """Begin to ask."""
        self._url = url
        self._ended = threading.Event()
        self.taken: list[tuple[float, float]] = []  # when it began, and seconds
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        with direct(timeout=60) as client:
            while not self._ended.wait(PAUSE_S):
                body = {**BODY, "input": f"red shoe for running {uuid.uuid4().hex[:8]}"}
                start = time.perf_counter()
                client.post(f"{self._url}/v1/embeddings", json=body).raise_for_status()
                self.taken.append((start, time.perf_counter() - start))

    def end(self) -> None:
        """Stop."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def p99_ms(self, start: float, stop: float) -> float:
        """Of the requests that began between two times."""
        found = sorted(seconds for began, seconds in self.taken if start <= began < stop)
        return round(1000 * found[int(0.99 * len(found))], 2)


@contextmanager
def idle_loops() -> Iterator[None]:
    """A loop on each core that computes when nobody else does: what a machine's callers notice of anything at all."""
    loops = [
        subprocess.Popen(["nice", "-n", "19", sys.executable, "-c", "while True: pass"])
        for _ in range(len(os.sched_getaffinity(0)))
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def beside(folder: Path, seconds: float, rows: int) -> dict[str, Any]:
    """Clients alone, then beside the job, then alone again."""
    source = catalogue.texts(folder / "rows", rows)
    server = ours.up("ours", ours.bench_config(ours.shipped(), []), folder)
    try:
        server.wait("/v1/embeddings", orjson.dumps(BODY), "application/json")
        clients = Clients(server.url)
        time.sleep(5)  # connections, caches and the autoscaler settle
        marks = [time.perf_counter()]
        time.sleep(seconds)
        marks.append(time.perf_counter())
        command = [
            str(Path(sys.executable).with_name("embedserve")),
            "backfill",
            str(BODY["model"]),
            "--from",
            str(source),
        ]
        command += ["--id", "sku", "--column", "title", "--to", str(folder / "sink"), "--via-service", server.url]
        job = subprocess.run(command, capture_output=True, text=True, check=False)
        ended = time.perf_counter()
        time.sleep(seconds)
        last = time.perf_counter()
        with idle_loops():
            marks.append(time.perf_counter())
            time.sleep(seconds)
            marks.append(time.perf_counter())
        clients.end()
    finally:
        server.stop()
    if job.returncode:
        raise RuntimeError(job.stderr)
    began = ended - orjson.loads(job.stdout)["this_start"]["seconds"]
    spans = ((marks[0], marks[1]), (began, ended), (ended, last), (marks[2], marks[3]))
    before, during, after, floor = (clients.p99_ms(*span) for span in spans)
    return {
        "clients": CLIENTS,
        "p99_ms": {"before": before, "beside_the_job": during, "after": after},
        "ratio": round(during / max(before, after), 3),
        "p99_ms_beside_loops_at_nice_19": floor,
        "job": orjson.loads(job.stdout)["this_start"],
    }

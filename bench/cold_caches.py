"""What a request costs the gateway where the processor's caches hold other things: ``python -m bench.cold_caches``.

The gateway's application answers one text from its own cache, without sockets: one request right after the other, and with pauses. Meanwhile
the cores do nothing, or turn in loops that touch no memory, or compute a model.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from starlette.types import ASGIApp

from deployments.gateway import collector
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.engine.session import EngineOptions
from tests.deployments.http.in_process import Asked
from tests.deployments.http.service import TEXT, application

MODEL = "text-embedding@1.0.0"
PAUSES_S = (0.0, 0.002, 0.01)
SECONDS = 4.0
TOKENS = (101, *range(2000, 2011), 102)
CORES = os.cpu_count() or 1
COMPANIES: dict[str, list[tuple[str, ...]]] = {
    "while nothing else runs": [],
    "beside loops that touch no memory": [("-c", "print('ready', flush=True)\nwhile True: pass")] * CORES,
    f"beside {MODEL} on every core": [("-m", "bench.cold_caches", "--compute")],
}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--compute", action="store_true", help=argparse.SUPPRESS)
    if parser.parse_args().compute:
        compute()
    for name, commands in COMPANIES.items():
        with beside(commands):
            found = asyncio.run(costs())
        each = (f"{us:.0f} {f'every {pause * 1e3:g} ms' if pause else 'in a loop'}" for pause, us in found.items())
        print(f"µs of processor time for a cached request, {name}: {', '.join(each)}", flush=True)
    return 0


@contextmanager
def beside(commands: Sequence[Sequence[str]]) -> Iterator[None]:
    """Programs of Python's that run meanwhile, each of which says first that it is ready."""
    started = [subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) for command in commands]
    try:
        for process in started:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError(f"{process.args!r} ended")
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


async def costs() -> dict[float, float]:
    """Microseconds of this thread for a request, by the pause after each."""
    with tempfile.TemporaryDirectory() as folder:
        app = application(Path(folder)).app
        collector.calm()
        await _cost(app, 0.0, 3000)
        return {pause: await _cost(app, pause, round(SECONDS / (pause or 0.001))) for pause in PAUSES_S}


async def _cost(app: ASGIApp, pause: float, requests: int) -> float:
    asked, spent = Asked.of_json("/v1/embeddings", {"model": "m@1", "input": TEXT}), 0.0
    for _ in range(requests):
        if pause:
            time.sleep(pause)  # noqa: ASYNC251 - as a process does that waits for its next request
        began = time.thread_time()
        answer = await asked.of(app)
        spent += time.thread_time() - began
    assert answer.headers["x-cache"] == "hit"
    return spent / requests * 1e6


def compute() -> None:
    """Embed texts on every core until this process ends."""
    spec = Catalog.load().find(MODEL)
    embedder = spec.modality.open(pull(spec, allow_synthetic=True), EngineOptions())
    rows = [np.array(TOKENS, np.int32)] * 58

    def again() -> None:
        while True:
            embedder.embed_rows(rows)

    embedder.embed_rows(rows)
    threads = [threading.Thread(target=again) for _ in range(CORES)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)


if __name__ == "__main__":
    sys.exit(main())

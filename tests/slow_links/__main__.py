"""Good traffic beside a crowd of slow clients: `python -m tests.slow_links [--port PORT] [--without-rules] [KIND ...] [SIZE ...]`.

With a port, a running service is asked; otherwise the gateway's application behind HAProxy, without Ray.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from deployments.serve_internals.haproxy_rules import Rules
from tests.slow_links.crowd import MANNERS, Manner, Slowness, keep, manners
from tests.slow_links.front import Front
from tests.slow_links.gateway import running
from tests.slow_links.good import Good, ask

SECONDS = 8.0
COUNT = 400
SERVICE = manners("text-embedding", ["a text of which there are many"] * 2048)  # answers of 4.4 MB


def main(arguments: list[str]) -> None:
    """Print a row for each kind of slowness and size, each beside a calm one."""
    kinds = [kind for kind in MANNERS if kind in arguments] or list(MANNERS)
    port = int(arguments[arguments.index("--port") + 1]) if "--port" in arguments else None
    sizes = [int(word) for word in arguments if word.isdigit() and int(word) != port] or [700, 2560]
    rules = None if "--without-rules" in arguments else Rules(0.25)
    found, model = (SERVICE, "text-embedding") if port else (MANNERS, "m")
    with contextlib.nullcontext(port) if port else _without_ray(rules) as at:
        ask(at, 50, model=model)
        for kind in kinds:
            for size in sizes:
                calm = ask(at, COUNT, pause_s=SECONDS / COUNT, fresh=True, model=model)
                with _crowd(kind, size, at, found[kind]):
                    good = ask(at, COUNT, pause_s=SECONDS / COUNT, fresh=True, model=model)
                print(f"{size} {kind}: calm {_row(calm)}; beside them {_row(good)}", flush=True)
                time.sleep(2)


def _row(good: Good) -> str:
    why = f" ({good.failures[0][:150]})" if good.failures else ""
    p99 = f"p99 {good.p99_ms:.1f} ms" if good.seconds else "no p99"
    return f"{len(good.failures)} of {COUNT} failed{why}, {p99}"


@contextlib.contextmanager
def _without_ray(rules: Rules | None) -> Iterator[int]:
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder)) as gateway,
        Front(Path(folder), [gateway.port], rules).running() as front,
    ):
        time.sleep(3)
        yield front.port


@contextlib.contextmanager
def _crowd(kind: Slowness, size: int, port: int, manner: Manner) -> Iterator[None]:
    """A crowd in a process of its own."""
    context = multiprocessing.get_context("spawn")
    complete, over = context.Event(), context.Event()
    process = context.Process(target=keep, args=(kind, size, port, manner, complete, over))
    process.start()
    try:
        print("" if complete.wait(60) else f"{kind}: fewer than {size} are connected at a time", end="")
        yield
    finally:
        over.set()
        process.join()


if __name__ == "__main__":
    main(sys.argv[1:])

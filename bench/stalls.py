"""Who holds up everybody else: one kind of request after the other, beside clients whose answers the gateway has in its cache.

python -m bench.stalls [--port 8000] [--times 10]

Asks a running service every operation of its description that reads and needs nothing but a name, and large requests of every
form. While a gateway's event loop is busy with one of them, all others wait.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx2
import orjson

from bench.loads.pictures import scenes
from models.http_client import direct, direct_async

PROBES = 3  # clients beside it
PAUSE_S = 0.001  # between two requests of one of them
WARM_S = 0.5
BETWEEN_S = 0.1  # two of the requests that are looked at
PATIENCE_S = 60.0
JSON = {"content-type": "application/json"}
QUIET = "nothing else"


@dataclass
class Asked:
    """One kind of request; ``bodies`` gives each time another body, so that no cache knows it."""

    name: str
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    bodies: Iterator[bytes] = field(default_factory=lambda: itertools.repeat(b""))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--times", type=int, default=10, help="each is asked")
    options = parser.parse_args()
    base = f"http://127.0.0.1:{options.port}"
    with direct(base_url=base) as client:
        description = client.get("/openapi.json").raise_for_status().json()
    print(f"{'beside':44} {'status':>6} {'takes, ms':>10} {'others, ms: p50':>16} {'p99':>6}")
    for asked in (None, *_reading(description), *_large()):
        print(asyncio.run(_beside(base, asked, options.times)), flush=True)
    return 0


def _reading(description: dict[str, Any]) -> Iterator[Asked]:
    """Operations that read, of the text model where they name one."""
    for path, operations in description["paths"].items():
        named = path.replace("{model}", "text-embedding").replace("{version}", "1.0.0")
        if "get" in operations and "{" not in named:
            yield Asked(f"GET {path}", "GET", named)


def _large() -> Iterator[Asked]:
    """As much as clients send at once, in every form."""
    texts, form = "/v1/embeddings", {"content-type": "multipart/form-data; boundary=b"}
    for count in (16, 256, 1000):
        yield Asked(f"{count} texts", "POST", texts, JSON, map(partial(_texts, count), itertools.count()))
    long = "words " * 15_000
    yield Asked("a text of 90 KB", "POST", texts, JSON, map(partial(_texts, 1, words=long), itertools.count()))
    for count in (8, 32):
        bodies = map(partial(_form, count), itertools.count())
        yield Asked(f"{count} pictures in a form", "POST", "/v1/embeddings/image", form, bodies)
    broken = itertools.repeat(b'{"model": "text-embedding", "input": [' + b"[" * 50_000)
    yield Asked("a JSON of 50,000 brackets", "POST", texts, JSON, broken)


def _texts(count: int, number: int, words: str = "a red running shoe for wet roads") -> bytes:
    inputs = [f"{time.time_ns()} {number} {index} {words}" for index in range(count)]
    return orjson.dumps({"model": "text-embedding", "input": inputs})


def _form(count: int, number: int) -> bytes:
    head = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    first = time.time_ns() // 1000 % 10**11 + number * count
    pictures = [scenes()[n % len(scenes())].raw(n) for n in range(first, first + count)]
    return b"".join(head + picture + b"\r\n" for picture in pictures) + b"--b--\r\n"


async def _beside(base: str, asked: Asked | None, times: int) -> str:
    """A line about one kind of request."""
    waits: list[float] = []
    takes: list[float] = []
    status = "" if asked is None else "0"
    async with direct_async(base_url=base, timeout=PATIENCE_S) as client, asyncio.TaskGroup() as group:
        stop = asyncio.Event()
        for _ in range(PROBES):
            group.create_task(_probe(client, waits, stop))
        await asyncio.sleep(WARM_S)
        waits.clear()
        for _ in range(times):
            if asked is not None:
                began = time.perf_counter()
                answer = await client.request(
                    asked.method, asked.path, content=next(asked.bodies), headers=asked.headers
                )
                takes.append(time.perf_counter() - began)
                status = str(answer.status_code)
            await asyncio.sleep(BETWEEN_S)
        stop.set()
    waits.sort()
    p50, p99 = (1e3 * waits[int(len(waits) * share)] for share in (0.5, 0.99))
    own = f"{1e3 * sorted(takes)[len(takes) // 2]:.1f}" if takes else ""
    return f"{QUIET if asked is None else asked.name:44} {status:>6} {own:>10} {p50:>16.1f} {p99:>6.1f}"


async def _probe(client: httpx2.AsyncClient, waits: list[float], stop: asyncio.Event) -> None:
    body = orjson.dumps({"model": "text-embedding", "input": "hello world"})
    while not stop.is_set():
        began = time.perf_counter()
        (await client.post("/v1/embeddings", content=body, headers=JSON)).raise_for_status()
        waits.append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE_S)


if __name__ == "__main__":
    sys.exit(main())

"""Ways of decoded pictures from a decoder's process to an encoder's on one node: gRPC, our frames, Ray's object store, shared slots.

A call asks for 16 rows of 224 × 224 pixels (150 KB each), which the decoder has at hand; four calls are under way. The encoder ends
up with an array for each row and looks at both ends of it.

    python -m bench.pixel_channels [--seconds 3] [--without-ray]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import uvloop

from bench.pixel_channels.ways import ROW_BYTES, Call, frames, grpc_aio, plasma
from deployments.encoder.pixel_slots import PixelSlots

CALLS = 4  # under way
SLOTS = 512  # as an encoder shares by default
WARM_S = 0.5


async def run(call: Call, seconds: float) -> int:
    """How many rows came in that time."""
    until, rows = time.perf_counter() + seconds, 0

    async def one() -> None:
        nonlocal rows
        while time.perf_counter() < until:
            for i, row in enumerate(await call()):
                assert row[0, 0, 0] == row[-1, -1, -1] == i
                rows += 1

    await asyncio.gather(*(one() for _ in range(CALLS)))
    return rows


def _spent(pid: int) -> int:
    """Nanoseconds of processor time of all threads of a process."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir())


async def measure(seconds: float, *, ray: bool) -> None:
    """Print a row for each way."""
    ways: dict[str, Callable[[], AbstractAsyncContextManager[tuple[Call, int]]]] = {
        "grpc.aio": grpc_aio,
        "our frames": frames,
        "Ray's object store": plasma,
        "slots": partial(frames, PixelSlots(SLOTS, ROW_BYTES)),
    }
    print("| way | GB/s | encoder, µs of processor a picture | decoder |\n|---|---|---|---|")
    for name, way in ways.items():
        if way is plasma and not ray:
            continue
        async with way() as (call, pid):
            await run(call, WARM_S)
            began, encoder, other = time.perf_counter(), time.process_time(), _spent(pid)
            rows = await run(call, seconds)
            rate = rows * ROW_BYTES / (time.perf_counter() - began) / 1e9
            mine, theirs = (time.process_time() - encoder) / rows * 1e6, (_spent(pid) - other) / rows / 1e3
        print(f"| {name} | {rate:.2f} | {mine:.1f} | {theirs:.1f} |", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each way")
    parser.add_argument("--without-ray", action="store_true", help="leave Ray's object store out")
    options = parser.parse_args()
    uvloop.run(measure(options.seconds, ray=not options.without_ray))


if __name__ == "__main__":
    main()

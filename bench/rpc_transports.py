"""Ways of a call from a gateway to an encoder, on the same work: frames of our own, grpc.aio, and Serve's handles.

One call carries ten texts and its reply ten vectors of 384 numbers; nothing is computed. The encoder's end is another
process on loopback, both ends run on uvloop, and all ways take turns.

    python -m bench.rpc_transports            # frames and grpc.aio
    python -m bench.rpc_transports --serve    # and Serve's handles, with and without a choice of the replica
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from multiprocessing.connection import Connection as Pipe
from typing import Any

import numpy as np
import uvloop

from bench.other_end import grpc_end, other_end
from deployments.contract.call import Queued
from deployments.contract.embedding import Label
from deployments.contract.items import Item
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply
from deployments.rpc.client import ConnectionPool
from deployments.rpc.codec import EncodeCall, pack_call, pack_reply, unpack_call, unpack_reply
from deployments.rpc.encoding import EncodeServer
from deployments.rpc.server import HOST_VARIABLE
from deployments.serve_internals.settings import SWITCHES

ITEMS: list[Item] = [f"text number {i} of a call, as long as texts of that benchmark are" for i in range(10)]
QUEUED = Queued("gateway", 140, 280)
REPLY = EncodeReply(Label("m@1", "0" * 64), np.ones((10, 384), np.float32) / 384**0.5, [14] * 10)
METHOD = "/embedserve.Encoder/Encode"
IN_FLIGHT = (1, 32)
Call = Callable[[], Awaitable[EncodeReply]]


async def encode(items: list[Item], queued: Queued) -> EncodeReply:  # noqa: ARG001 - as an encoder's
    """Answer at once."""
    return REPLY


async def describe(max_age_s: float) -> ModelInfo:
    """Nobody asks."""
    raise NotImplementedError


def frames_end(pipe: Pipe) -> None:
    """The encoder's end of our frames."""

    async def serve() -> None:
        pipe.send(await EncodeServer(encode, describe).start())
        await asyncio.Event().wait()

    uvloop.run(serve())


async def grpc_answer(body: bytes, _: Any) -> bytes:
    """The encoder's end of grpc.aio, with the same bodies."""
    call = unpack_call(body)
    assert isinstance(call, EncodeCall)
    return pack_reply(await encode(call.items, call.queued))


@asynccontextmanager
async def frames() -> AsyncIterator[tuple[Call, int]]:
    """Calls over our frames."""
    async with other_end(frames_end) as (endpoint, pid):
        pool, replicas = ConnectionPool("m@1"), {"one": endpoint}
        while pool.pick(replicas) is None:  # noqa: ASYNC110 - connecting has no event to wait for
            await asyncio.sleep(0.01)

        async def call() -> EncodeReply:
            connection = pool.pick(replicas)
            assert connection is not None
            return await connection.encode(ITEMS, QUEUED)

        yield call, pid


@asynccontextmanager
async def grpc_aio() -> AsyncIterator[tuple[Call, int]]:
    """Calls over grpc.aio."""
    import grpc

    async with (
        other_end(partial(grpc_end, grpc_answer)) as (port, pid),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        send = channel.unary_unary(METHOD)

        async def call() -> EncodeReply:
            reply = unpack_reply(await send(b"".join(pack_call(EncodeCall(ITEMS, QUEUED)))))
            assert isinstance(reply, EncodeReply)
            return reply

        yield call, pid


def cpu_s(pid: int) -> float:
    """Seconds of processor that this process and another one used."""
    ticks = 0
    for one in (os.getpid(), pid):
        with open(f"/proc/{one}/stat", encoding="utf-8") as file:
            ticks += sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


async def measure(call: Call, pid: int, in_flight: int, seconds: float) -> tuple[float, float, float]:
    """Calls per second, their median in ms, and µs of processor for each (both ends)."""
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def caller() -> None:
        while (begin := time.perf_counter()) < until:
            assert len((await call()).vectors) == len(ITEMS)
            times.append(time.perf_counter() - begin)

    before = cpu_s(pid)
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return len(times) / seconds, statistics.median(times) * 1000, (cpu_s(pid) - before) / len(times) * 1e6


async def compare(ways: dict[str, tuple[Call, int]], seconds: float, rounds: int) -> None:
    """Print one line for each way and number of calls in flight, the medians of all rounds."""
    for in_flight in IN_FLIGHT:
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (call, pid) in ways.items():
                found[name].append(await measure(call, pid, in_flight, seconds))
        for name, samples in found.items():
            rate, median, cpu = (statistics.median(column) for column in zip(*samples, strict=True))
            print(
                f"{in_flight:3} in flight  {name:26} {rate:7.0f} calls/s  {median:7.3f} ms  {cpu:6.0f} µs of processor"
            )


async def transports(seconds: float, rounds: int) -> None:
    """Frames beside grpc.aio."""
    async with frames() as own, grpc_aio() as grpc:
        await compare({"frames": own, "grpc.aio": grpc}, seconds, rounds)


@asynccontextmanager
async def serve_handles() -> AsyncIterator[dict[str, tuple[Call, int]]]:
    """Calls through Serve's handles, from this process to a replica on a Ray of its own."""
    import ray
    from ray import serve

    from deployments.cluster.local_ray import start_local
    from deployments.cluster.supervised import Supervised

    supervised = Supervised()
    ray.init(address=start_local(supervised).address, log_to_driver=False)

    class Encoder:
        async def encode(self, items: list[Item], queued: Queued) -> EncodeReply:
            return await encode(items, queued)

        def pid(self) -> int:
            return os.getpid()

    application = serve.deployment(max_ongoing_requests=64)(Encoder).bind()
    await asyncio.to_thread(serve.run, application, name="encoder", route_prefix=None)
    handle = serve.get_deployment_handle("Encoder", "encoder")
    pid = await handle.pid.remote()
    chosen = handle.encode

    async def remote() -> EncodeReply:
        reply: EncodeReply = await handle.encode.remote(ITEMS, QUEUED)
        return reply

    async def choose() -> EncodeReply:
        async with chosen.choose_replica() as selection:
            reply: EncodeReply = await chosen.dispatch(selection, ITEMS, QUEUED)
            return reply

    yield {"handle.remote": (remote, pid), "choose_replica + dispatch": (choose, pid)}
    await asyncio.to_thread(serve.shutdown)
    await asyncio.to_thread(ray.shutdown)
    supervised.end()


async def everything(seconds: float, rounds: int) -> None:
    """Serve's handles beside frames."""
    async with frames() as own, serve_handles() as handles:
        await compare({"frames": own, **handles}, seconds, rounds)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help="Serve's handles too, on a Ray of its own")
    options = parser.parse_args()
    os.environ[HOST_VARIABLE] = "127.0.0.1"
    os.environ.update(SWITCHES)  # before Serve is imported: this process calls as a gateway does
    uvloop.run((everything if options.serve else transports)(options.seconds, options.rounds))


if __name__ == "__main__":
    main()

"""Calls from gateways to encoders over real sockets."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from deployments.contract.call import Queued
from deployments.contract.embedding import Label
from deployments.contract.items import Item, ItemError
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply, Stages, WrongArtifact
from deployments.rpc.calls import CallFailedError, ComputingLostError, ConnectionLostError
from deployments.rpc.client import ConnectionPool
from deployments.rpc.codec import pack_reply, unpack_reply
from deployments.rpc.connection import Connection, WrongArtifactError
from deployments.rpc.encoding import EncodeServer
from deployments.rpc.framing import HEADER
from deployments.rpc.server import HOST_VARIABLE, Endpoint
from deployments.rpc.strangers import MOST, Strangers
from models.errors import EngineError, UnavailableError

pytestmark = pytest.mark.timeout(150)  # instead of minutes, when an answer never comes

NUMERICS = "cpu/fp32/avx512f/onnxruntime-1.32.0"
QUEUED = Queued("gateway", 10, 20, 3, ("00-trace",), "h" * 64)


@dataclass
class Encoder:
    """Remembers its calls and answers when the gate is open."""

    calls: list[tuple[list[Item], Queued]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None
    other: Label | None = None  # of the artifact that it has instead of the one that calls name

    async def __call__(self, items: list[Item], queued: Queued) -> EncodeReply | WrongArtifact:
        self.calls.append((items, queued))
        await self.gate.wait()
        if self.other is not None:
            return WrongArtifact(self.other)
        if self.error is not None:
            raise self.error
        vectors = np.random.default_rng(len(items)).random((len(items), 8), np.float32)
        errors = {0: ItemError("no picture", "invalid_image", limit=True)}
        return EncodeReply(
            Label("m@1", "h" * 64, synthetic=True, numerics=NUMERICS),
            vectors,
            [1] * len(items),
            errors,
            Stages(1, 2, 3),
        )

    async def describe(self, max_age_s: float) -> ModelInfo:
        if self.error is not None:
            raise self.error
        label = Label("m@1", "h" * 64, synthetic=True, numerics=NUMERICS)
        return ModelInfo(label, "m", "text", 8, "fp32", "cpu", vocabulary=9, swap_error=f"asked within {max_age_s:g} s")


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - a socket's other end has no event to wait for
        await asyncio.sleep(0.001)


class Bench:
    """Servers with their encoders, and a gateway's connections to them."""

    def __init__(self) -> None:
        self.encoders: list[Encoder] = []
        self.servers: list[EncodeServer] = []
        self.replicas: dict[str, Endpoint] = {}
        self.connections = ConnectionPool("m@1")
        self.most_calls = 64

    async def add(self) -> Encoder:
        encoder = Encoder()
        server = EncodeServer(encoder, encoder.describe, lambda: self.most_calls)
        self.replicas[str(len(self.servers))] = await server.start()
        self.encoders.append(encoder)
        self.servers.append(server)
        return encoder

    async def connected(self) -> Connection:
        await until(lambda: self.connections.pick(self.replicas) is not None)
        connection = self.connections.pick(self.replicas)
        assert connection is not None
        return connection

    async def called(self, count: int) -> None:
        await until(lambda: sum(len(encoder.calls) for encoder in self.encoders) >= count)


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOST_VARIABLE, "127.0.0.1")


@pytest.fixture
async def bench(loopback: None) -> Bench:
    bench = Bench()
    await bench.add()
    return bench


async def test_what_is_sent_arrives(bench: Bench) -> None:
    encoder = bench.encoders[0]
    encoder.gate.set()
    items: list[Item] = ["text, 文字", b"\x00\xffpicture", (101, 7, 102)]
    reply = await (await bench.connected()).encode(items, QUEUED)
    assert encoder.calls == [(items, QUEUED)]
    wanted = await encoder(items, QUEUED)
    assert isinstance(wanted, EncodeReply)
    assert reply.vectors.tobytes() == wanted.vectors.tobytes()
    assert reply.vectors.dtype == np.float32
    assert reply.vectors.shape == (3, 8)
    assert (reply.label, reply.tokens, reply.errors) == (wanted.label, wanted.tokens, wanted.errors)
    assert reply.stages == wanted.stages


async def test_a_replica_says_what_it_serves_and_fails_where_it_does_not_embed(bench: Bench) -> None:
    connection = await bench.connected()
    assert await connection.describe(7) == await bench.encoders[0].describe(7)
    bench.encoders[0].error = ValueError("the engine embeds no more")
    with pytest.raises(CallFailedError, match="embeds no more"):
        await connection.describe(7)


async def test_a_replica_that_has_another_artifact_says_which_and_nobody_is_the_worse_for_it(bench: Bench) -> None:
    encoder = bench.encoders[0]
    encoder.gate.set()
    encoder.other = Label("m@1", "o" * 64)
    connection = await bench.connected()
    with pytest.raises(WrongArtifactError) as caught:
        await connection.encode(["a"], QUEUED)
    assert caught.value.label == connection.label == encoder.other
    encoder.other = None
    await connection.encode(["a"], QUEUED)
    assert connection.label == Label("m@1", "h" * 64, synthetic=True, numerics=NUMERICS)


def test_a_label_arrives_whole() -> None:
    told = WrongArtifact(Label("m@1", "h" * 64, numerics="cpu", batch_dependent=True))
    assert unpack_reply(pack_reply(told)) == told


async def test_a_call_on_a_connection_that_has_ended_fails_at_once(bench: Bench) -> None:
    connection = await bench.connected()
    await bench.servers[0].close()
    await until(lambda: not connection.alive)
    with pytest.raises(ConnectionLostError):
        await asyncio.wait_for(connection.encode(["a"], QUEUED), 60)


async def test_every_question_may_reach_another_replica(bench: Bench) -> None:
    await bench.add()
    await bench.connected()
    assert len({id(bench.connections.next_asked()) for _ in range(60)}) == 2
    await bench.servers[0].close()
    await until(lambda: len({id(bench.connections.next_asked()) for _ in range(60)}) == 1)


async def test_a_server_is_started_once_and_never_again_after_it_closed() -> None:
    encoder = Encoder()
    server = EncodeServer(encoder, encoder.describe)
    first, second = await asyncio.gather(server.start(), server.start())
    assert first == second
    await server.close()
    with pytest.raises(UnavailableError, match="stopping"):
        await server.start()


async def test_calls_are_under_way_together_and_large_ones_arrive_whole(bench: Bench) -> None:
    connection = await bench.connected()
    picture = bytes(range(256)) * 20_000
    calls = [asyncio.ensure_future(connection.encode([picture] * n, QUEUED)) for n in (1, 2, 3)]
    await bench.called(3)
    assert connection.under_way == 3
    bench.encoders[0].gate.set()
    assert [len(reply.vectors) for reply in await asyncio.gather(*calls)] == [1, 2, 3]
    assert bench.encoders[0].calls[2][0] == [picture] * 3


async def test_each_of_many_long_and_short_replies_goes_to_the_call_that_it_answers(bench: Bench) -> None:
    bench.encoders[0].gate.set()
    connection = await bench.connected()
    pictures = [b"\xff" * 70_000, b"\xfe" * 10]
    sizes = [1, 4000, 2, 3000, 17, 5000, 2500]  # a vector is 32 bytes

    async def one_after_the_other(turned: int) -> list[int]:
        sent = sizes[turned:] + sizes[:turned]
        replies = [await connection.encode([pictures[n % 2]] + ["a"] * (n - 1), QUEUED) for n in sent]
        return [len(reply.vectors) for reply in replies]

    for turned, found in enumerate(await asyncio.gather(*map(one_after_the_other, range(7)))):
        assert found == sizes[turned:] + sizes[:turned]


async def test_the_replica_with_the_fewest_calls_under_way_is_picked(bench: Bench) -> None:
    await bench.add()
    first = await bench.connected()
    call = asyncio.ensure_future(first.encode(["a"], QUEUED))
    await bench.called(1)
    second = await bench.connected()
    assert second is not first
    for encoder in bench.encoders:
        encoder.gate.set()
    await call


async def test_calls_reach_all_of_many_replicas_and_one_that_dies_is_noticed(bench: Bench) -> None:
    for _ in range(19):
        await bench.add()
    await bench.connected()
    calls = []
    for number in range(300):
        calls.append(asyncio.ensure_future((await bench.connected()).encode(["a"], QUEUED)))
        await bench.called(number + 1)
    assert min(len(encoder.calls) for encoder in bench.encoders) > 5
    for encoder in bench.encoders:
        encoder.gate.set()
    await asyncio.gather(*calls)
    await bench.servers[3].close()
    await until(lambda: bench.connections.pick(bench.replicas) is None)
    del bench.replicas["3"]
    assert (await bench.connected()).alive


async def test_who_does_not_know_the_secret_is_not_answered(bench: Bench) -> None:
    metadata = bench.replicas["0"]
    for first in (bytes(32), b"", bytes(31), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", bytes(10_000)):
        reader, writer = await asyncio.open_connection(metadata["host"], metadata["port"])
        writer.write(first if first.startswith(b"GET") else HEADER.pack(len(first), 0) + first)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()
    assert bench.encoders[0].calls == []


async def test_a_replica_of_another_format_is_called_through_serve(bench: Bench) -> None:
    bench.replicas["0"]["format"] = 0
    assert bench.connections.pick(bench.replicas) is None
    await asyncio.sleep(0)
    assert bench.connections._opening == {}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UnavailableError("the engine hangs"), ConnectionLostError),
        (EngineError("the engine fails"), ComputingLostError),
        (ValueError("a defect"), CallFailedError),
    ],
    ids=["another replica may", "another replica may unless the call is why", "no other replica could"],
)
async def test_a_failure_belongs_to_its_call(error: Exception, expected: type[Exception], bench: Bench) -> None:
    bench.encoders[0].gate.set()
    bench.encoders[0].error = error
    connection = await bench.connected()
    with pytest.raises(expected, match=str(error)):
        await connection.encode(["a"], QUEUED)
    bench.encoders[0].error = None
    assert len((await connection.encode(["a"], QUEUED)).vectors) == 1


async def test_calls_to_a_replica_that_dies_go_elsewhere(bench: Bench) -> None:
    connection = await bench.connected()
    call = asyncio.ensure_future(connection.encode(["a"], QUEUED))
    await bench.called(1)
    for held in bench.servers[0]._connections:
        held.close()
    with pytest.raises(ComputingLostError, match="went away"):
        await call
    assert bench.connections.pick(bench.replicas) is None


async def test_a_replica_that_stops_finishes_its_calls_and_takes_no_more(bench: Bench) -> None:
    connection = await bench.connected()
    call = asyncio.ensure_future(connection.encode(["a"], QUEUED))
    await bench.called(1)
    closing = asyncio.ensure_future(bench.servers[0].close())
    await asyncio.sleep(0)
    with pytest.raises(ConnectionLostError, match="stopping"):
        await connection.encode(["late"], QUEUED)
    assert not closing.done()
    bench.encoders[0].gate.set()
    assert len((await call).vectors) == 1
    await closing
    await until(lambda: not connection.alive)


async def test_more_calls_than_a_replica_may_hold_are_refused_until_it_may_hold_more(bench: Bench) -> None:
    bench.most_calls = 1
    connection = await bench.connected()
    call = asyncio.ensure_future(connection.encode(["a"], QUEUED))
    await bench.called(1)
    with pytest.raises(ConnectionLostError, match="holds 1 calls"):
        await connection.encode(["b"], QUEUED)
    bench.most_calls = 2
    another = asyncio.ensure_future(connection.encode(["b"], QUEUED))
    await bench.called(2)
    bench.encoders[0].gate.set()
    await asyncio.gather(call, another)


async def test_a_replica_that_left_the_set_finishes_and_is_let_go(bench: Bench) -> None:
    connection = await bench.connected()
    call = asyncio.ensure_future(connection.encode(["a"], QUEUED))
    await bench.called(1)
    bench.replicas.clear()
    assert bench.connections.pick(bench.replicas) is None
    assert connection.alive
    bench.encoders[0].gate.set()
    await call
    await until(lambda: not connection.alive)


async def answers(bench: Bench) -> None:
    """A gateway that comes now is answered."""
    bench.encoders[0].gate.set()
    pool = ConnectionPool("m@1")
    await until(lambda: pool.pick(bench.replicas) is not None)
    connection = pool.pick(bench.replicas)
    assert connection is not None
    assert len((await connection.encode(["a"], QUEUED)).vectors) == 1
    connection.retire()


WAYS = {"silent": b"", "half a head": b"\x20", "half a secret": HEADER.pack(32, 0) + bytes(31)}


@pytest.mark.parametrize("said", WAYS.values(), ids=WAYS.keys())
async def test_ten_times_the_strangers_that_are_admitted_lock_no_gateway_out(bench: Bench, said: bytes) -> None:
    place = (bench.replicas["0"]["host"], bench.replicas["0"]["port"])
    strangers = []
    for _ in range(10):
        for _, writer in await asyncio.gather(*(asyncio.open_connection(*place) for _ in range(MOST))):
            writer.write(said)
            strangers.append(writer)
        await answers(bench)
        assert len(bench.servers[0]._connections) <= MOST + 1
    for writer in strangers:
        writer.close()


async def test_a_stranger_that_stays_silent_is_ended_in_time_and_a_gateway_that_stays_silent_is_not(
    bench: Bench,
) -> None:
    bench.servers[0]._strangers = Strangers(handshake_s=0.05)
    connection = await bench.connected()
    reader, writer = await asyncio.open_connection(bench.replicas["0"]["host"], bench.replicas["0"]["port"])
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await asyncio.wait_for(reader.readexactly(1), 60)
    writer.close()
    await asyncio.sleep(0.2)  # four times the silence that a stranger is allowed
    assert connection.alive
    assert len(bench.servers[0]._strangers) == 0


def test_with_few_open_files_left_a_replica_serves_its_gateways_through_a_thousand_strangers() -> None:
    """In a process of its own, which may open 200 files."""
    done = subprocess.run([sys.executable, "-c", CROWDED], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split() == ["served"] * 10, done.stderr


CROWDED = """
import asyncio, os, resource, socket, sys
os.environ["EMBEDSERVE_CHANNEL_HOST"] = "127.0.0.1"
from tests.deployments.rpc.test_rpc import Bench, answers

def crowd(port, pipe):
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    held = []
    for _ in range(10):
        os.read(pipe, 1)
        held += [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        os.write(done[1], b"x")
    os.read(pipe, 1)

async def serve():
    bench = Bench()
    await bench.add()
    child = os.fork()
    if child == 0:
        crowd(bench.replicas["0"]["port"], go[0])
        os._exit(0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    for _ in range(10):
        os.write(go[1], b"x")
        await asyncio.get_running_loop().run_in_executor(None, os.read, done[0], 1)
        await asyncio.wait_for(answers(bench), 60)
        print("served", flush=True)
    os.write(go[1], b"x")
    os.waitpid(child, 0)

go, done = os.pipe(), os.pipe()
asyncio.run(serve())
"""

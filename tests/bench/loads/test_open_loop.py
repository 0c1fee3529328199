from __future__ import annotations

import asyncio
import itertools

import pytest

from bench.comparison.overload import sustained
from bench.loads.connection import Connection, request_bytes
from bench.loads.open_loop import OpenResult, schedule
from tests.bench.loads.echo import Echo


@pytest.mark.parametrize(("rate", "seconds", "count"), [(100, 2, 200), (3, 1, 3), (2.5, 2, 5), (1000, 0.01, 10)])
def test_schedule_is_evenly_spaced_and_complete(rate: float, seconds: float, count: int) -> None:
    starts = list(schedule(rate, seconds))
    assert len(starts) == count
    assert starts[0] == 0
    assert starts[-1] < seconds
    assert all(abs(b - a - 1 / rate) < 1e-9 for a, b in itertools.pairwise(starts))


@pytest.mark.parametrize(
    ("good", "in_time", "p99_ms", "expected"),
    [(100, 98, 20.0, True), (98, 98, 20.0, False), (100, 60, 20.0, False), (100, 98, 500.0, False)],
    ids=["a kept rate", "losses", "a backlog", "a growing queue"],
)
def test_a_rate_is_sustained_without_losses_and_without_a_queue(
    good: int, in_time: int, p99_ms: float, expected: bool
) -> None:
    result = OpenResult(sent=100, seconds=2, statuses={"200": good}, goodput=in_time / 2, p99_ms=p99_ms)
    assert sustained(result, OpenResult(p99_ms=10.0)) is expected


async def _answers(head: bytes, count: int) -> list[tuple[int, bool]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(count):
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            for part in (head[:20], head[20:], b"\r\n\r\nb", b"ody"):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.001)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        connection = await Connection.connect(server.sockets[0].getsockname()[1])
        found = [await connection.exchange(request_bytes("/", "text/plain", b"hi")) for _ in range(count)]
        assert connection.body == b"body"
        with pytest.raises(ConnectionError):
            await connection.exchange(request_bytes("/", "text/plain", b"hi"))
        return found


async def test_a_connection_reads_answers_that_come_in_pieces() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4"
    assert await _answers(head, 3) == [(200, False)] * 3


async def test_a_connection_sees_retry_after() -> None:
    head = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 4"
    assert await _answers(head, 1) == [(503, True)]


async def test_the_counting_server_counts_requests_and_bodies() -> None:
    echo = Echo()
    server, port = await echo.start()
    async with server:
        connection = await Connection.connect(port)
        for body in (b"one", b"two", b"two"):
            await connection.exchange(request_bytes("/", "text/plain", body))
    assert (echo.requests, len(echo.bodies)) == (3, 2)

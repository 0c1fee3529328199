"""Clients that send a byte now and then, or never read: they lose their connection, and nobody else notices."""

from __future__ import annotations

import select
import socket
import time

import httpx2
import pytest

from tests.faults.fleet import Fleet
from tests.faults.hostile.case import JSON
from tests.faults.wire import receive, request

pytestmark = pytest.mark.slow
CONNECTIONS = 100
DRIP_S = 0.3
PATIENCE_S = 90
HEADERS = b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\nx-slow: " + b"y" * 10_000
BODY = request(b'{"model": "text-embedding", "input": "' + b"x" * 5000, headers=JSON)
CHUNKS = request(headers=(*JSON, ("transfer-encoding", "chunked")), length=False) + b"1\r\n{\r\n" * 5000


def dripping(port: int, data: bytes, at_once: int) -> list[socket.socket]:
    """Connections on which the first bytes were sent."""
    opened = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(CONNECTIONS)]
    for connection in opened:
        connection.sendall(data[:at_once])
    return opened


def answered(connections: list[socket.socket]) -> list[socket.socket]:
    """Those on which something came back, if only an end."""
    return select.select(connections, [], [], 0)[0]


@pytest.mark.parametrize(
    ("data", "at_once", "step"),
    [(HEADERS, 60, 1), (BODY, len(BODY) - 4000, 1), (CHUNKS, 140, 6)],
    ids=["headers", "a body", "a body in chunks"],
)
def test_whoever_drips_is_cut_off_and_others_are_served(impatient: Fleet, data: bytes, at_once: int, step: int) -> None:
    waiting = dripping(impatient.isolated.service.port, data, at_once)
    statuses: list[int | None] = []
    begin, sent = time.monotonic(), at_once
    with impatient.traffic(clients=2) as traffic:
        while waiting:
            assert time.monotonic() < begin + PATIENCE_S, f"{len(waiting)} connections are still open"
            for connection in answered(waiting):
                answer = receive(connection)
                statuses.append(answer.status if answer else None)
                connection.close()
                waiting.remove(connection)
            for connection in waiting:
                connection.sendall(data[sent : sent + step])
            sent += step
            time.sleep(DRIP_S)
        traffic.wait_for(5)
    print(f"{CONNECTIONS} cut off after {time.monotonic() - begin:.1f} s")
    assert traffic.failures == []
    assert set(statuses) <= {408, None}
    assert statuses.count(408) > CONNECTIONS / 2


def test_whoever_does_not_read_holds_nothing_that_others_need(impatient: Fleet) -> None:
    texts = ", ".join(f'"a text, number {i}"' for i in range(64))
    data = request(b'{"model": "text-embedding", "input": [%s]}' % texts.encode())
    port = impatient.isolated.service.port
    deaf = [socket.socket() for _ in range(20)]
    for connection in deaf:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.connect(("127.0.0.1", port))
        connection.sendall(data)
    with impatient.traffic(clients=2) as traffic:
        traffic.wait_for(20)
    for connection in deaf:
        connection.close()
    assert traffic.failures == []


def test_an_answer_that_takes_long_is_waited_for(impatient: Fleet) -> None:
    """Limits of time are those of clients that send, not of work."""
    texts = [f"number {i}: " + "waterproof boots for wide feet " * 40 for i in range(300)]
    body = {"model": "text-embedding", "input": texts}
    headers = {"x-request-timeout-seconds": "120"}
    answer = httpx2.post(f"{impatient.url}/v1/embeddings", json=body, headers=headers, timeout=120, trust_env=False)
    assert answer.status_code == 200
    assert len(answer.json()["data"]) == len(texts)

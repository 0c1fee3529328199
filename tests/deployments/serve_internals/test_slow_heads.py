"""Heads on a replica's own port: they come in time, are of a size, or their connection ends."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from ray.serve._private.http_util import configure_http_middlewares, start_asgi_http_server
from ray.serve.config import HTTPOptions
from starlette.types import Receive, Scope, Send

from deployments.cluster.ports import free_port
from deployments.serve_internals import slow_heads
from deployments.serve_internals.seams import SEAMS
from tests.faults.wire import Answer, exchange, receive, request

LIMIT_S = 1.0  # of 0.3 s, a busy machine left a test too little to send its head in
HEAD = b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer when the body is there, and later than the limit where the path says so."""
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * LIMIT_S)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    http = slow_heads.limited(LIMIT_S)
    server = uvicorn.Server(uvicorn.Config(app, http=http, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield int(listener.getsockname()[1])
    server.should_exit = True
    thread.join()


@pytest.fixture
def connection(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        yield client


def drip(connection: socket.socket, data: bytes) -> bool:
    """Send ``data`` again and again for ten times the limit; returns whether that was cut off."""
    until = time.monotonic() + 10 * LIMIT_S
    try:
        while time.monotonic() < until:
            connection.sendall(data)
            time.sleep(LIMIT_S / 20)
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False


def error_of(answer: Answer | None) -> tuple[int, str | None]:
    assert answer is not None
    assert answer.problem() is None
    assert answer.headers["connection"] == "close"
    return answer.status, json.loads(answer.body)["error"]["code"]


def ended(connection: socket.socket) -> bool:
    """Whether the other side hangs up, without a word."""
    return last_words(connection) == b""


def last_words(connection: socket.socket) -> bytes:
    """What comes before the other side hangs up; its answer may be lost where it did not read all that it was sent."""
    said = b""
    try:
        while data := connection.recv(65536):
            said += data
    except ConnectionResetError:
        pass
    return said


def test_a_head_that_drips_is_cut_off(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"x-slow: ")
    before = SEAMS.uses["slow_heads"]
    assert drip(connection, b"y")
    assert SEAMS.uses["slow_heads"] == before + 1


def test_a_head_that_stalls_is_told_so(port: int) -> None:
    answers = (exchange(port, HEAD + b"x-slow: ") for _ in range(10))  # none comes where this test itself stood still
    assert error_of(next(answer for answer in answers if answer is not None)) == (408, "head_too_slow")


def test_who_says_nothing_is_hung_up_on(connection: socket.socket) -> None:
    assert ended(connection)


@pytest.mark.parametrize("requests", [1, 3])
def test_a_head_after_other_requests_is_held_to_the_limit_too(connection: socket.socket, requests: int) -> None:
    for _ in range(requests):
        connection.sendall(request(b"{}"))
        assert (answer := receive(connection)) is not None
        assert answer.status == 200
    connection.sendall(HEAD)
    assert error_of(receive(connection)) == (408, "head_too_slow")


def test_empty_lines_between_requests_keep_no_connection(connection: socket.socket) -> None:
    connection.sendall(request(b"{}"))
    assert receive(connection) is not None
    assert drip(connection, b"\r\n")


def test_a_connection_that_rests_between_requests_is_kept(connection: socket.socket) -> None:
    for _ in range(3):
        connection.sendall(request(b"{}"))
        assert receive(connection) is not None
        time.sleep(2 * LIMIT_S)


def test_a_head_in_pieces_and_a_body_that_takes_longer_than_the_limit_are_read(connection: socket.socket) -> None:
    sent = request(b"x" * 100)
    for part in (sent[:10], sent[10:40], sent[40:-100]):
        connection.sendall(part)
        time.sleep(LIMIT_S / 10)
    for _ in range(5):
        connection.sendall(b"x" * 20)
        time.sleep(LIMIT_S / 2)
    assert (answer := receive(connection)) is not None
    assert answer.status == 200


def test_bytes_of_heads_are_not_added_up_over_the_requests_of_a_connection(connection: socket.socket) -> None:
    for body in (b"{}", b"0\r\n\r\n"):
        headers = [("x-large", "y" * 8000), *([("transfer-encoding", "chunked")] if body[:1] == b"0" else [])]
        head = request(headers=headers, length=False)[:-2] + (b"" if body[:1] == b"0" else b"content-length: 2\r\n")
        for _ in range(20):
            connection.sendall(head + b"\r\n")
            time.sleep(0.002)  # so that the body comes by itself
            connection.sendall(body)
            assert (answer := receive(connection)) is not None
            assert answer.status == 200


def test_a_body_of_many_small_chunks_is_no_head(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    for _ in range(3000):
        connection.sendall(b"1;" + b"e" * 60 + b"\r\n")
        connection.sendall(b"x\r\n")
    connection.sendall(b"0\r\n\r\n")
    assert (answer := receive(connection)) is not None
    assert answer.status == 200


def test_an_answer_that_takes_long_is_not_cut_off_for_the_next_head(connection: socket.socket) -> None:
    connection.sendall(request(b"{}", path="/slow") + HEAD)
    assert (answer := receive(connection)) is not None
    assert answer.status == 200
    assert error_of(receive(connection)) == (408, "head_too_slow")


def test_answers_that_come_together_are_read_one_by_one(connection: socket.socket) -> None:
    connection.sendall(10 * request(b"{}"))
    while connection.recv(65536, socket.MSG_PEEK).count(b"{}") < 10:
        time.sleep(0.01)
    assert [answer.status for _ in range(10) if (answer := receive(connection)) is not None] == [200] * 10


def test_the_end_of_a_body_does_not_count_as_part_of_the_next_head(connection: socket.socket) -> None:
    body = b"x" * 3 * slow_heads.HEAD_BYTES
    connection.sendall(request(body) + HEAD)
    assert (answer := receive(connection)) is not None
    assert answer.status == 200
    connection.sendall(b"content-length: 0\r\n\r\n")
    assert (answer := receive(connection)) is not None
    assert answer.status == 200


@pytest.mark.parametrize("sent", [b"x-large: " + b"y" * (10 * slow_heads.HEAD_BYTES), b"x: y\r\n" * 110_000])
def test_ten_times_the_bytes_of_a_head_are_refused(connection: socket.socket, sent: bytes) -> None:
    try:
        connection.sendall(HEAD + sent)
    except (BrokenPipeError, ConnectionResetError):
        return
    assert last_words(connection)[:12] in (b"", b"HTTP/1.1 431")


@pytest.mark.parametrize("sent", [b"x-large: " + b"y" * (10 * slow_heads.HEAD_BYTES), b"x: y\r\n" * 110_000])
def test_ten_times_the_bytes_of_a_head_are_refused_behind_a_body_too(connection: socket.socket, sent: bytes) -> None:
    connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
    try:
        connection.sendall(sent)
    except (BrokenPipeError, ConnectionResetError):
        return
    assert ended(connection)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_in_json(connection: socket.socket, sent: bytes) -> None:
    connection.sendall(sent)
    assert error_of(receive(connection)) == (400, None)


async def test_serves_own_server_keeps_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the seam relies on: Serve asks for its middlewares before it makes a server, and leaves the protocol to uvicorn."""
    from uvicorn import config

    from deployments.serve_internals import settings

    monkeypatch.setattr(config, "HTTP_PROTOCOLS", dict(config.HTTP_PROTOCOLS))
    monkeypatch.setattr(slow_heads, "LIMIT_S", LIMIT_S)
    path = settings.HTTP_HOOK["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"]
    monkeypatch.setattr("ray.serve._private.http_util.RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", path)
    options = configure_http_middlewares(HTTPOptions(host="127.0.0.1", port=free_port()))
    task, server = await start_asgi_http_server(app, options, event_loop=asyncio.get_running_loop())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", options.port)
    writer.write(HEAD)
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()
    server.should_exit = True
    await task

"""Answers on a real connection: what arrives, and in how many segments."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from deployments.serve_internals import http_shortcut
from deployments.serve_internals.http_hook import Envelope

BODY = b"v" * 5000
TCP_INFO_BYTES, DATA_SEGMENTS_IN = 192, 152  # of struct tcp_info in linux/tcp.h
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", str(len(BODY)).encode())]


class App:
    """Answers as the path says."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
        if scope["path"].endswith("/broken"):
            raise RuntimeError("a defect after the head")
        if scope["path"].endswith("/pieces"):
            await send({"type": "http.response.body", "body": BODY[:1000], "more_body": True})
            await asyncio.to_thread(self.may_go_on.wait, 20)
            await send({"type": "http.response.body", "body": BODY[1000:]})
        else:
            await send({"type": "http.response.body", "body": BODY})


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def connection(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    monkeypatch.setattr(http_shortcut, "SHORTCUT", shortcut := http_shortcut.Shortcut())
    layers = Envelope(app)

    async def gateway(scope: Scope, receive: Receive, send: Send) -> None:
        shortcut.open(app)
        await layers(scope, receive, send)

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(gateway, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    with socket.create_connection(listener.getsockname(), timeout=20) as client:
        yield client
    server.should_exit = True
    thread.join()


def ask(connection: socket.socket, path: str, method: str = "POST", *headers: str) -> None:
    head = [f"{method} {path} HTTP/1.1", "host: x", "content-length: 0", *headers]
    connection.sendall("\r\n".join([*head, "", ""]).encode())


def answer(connection: socket.socket) -> tuple[bytes, bytes]:
    """Head and body of the next answer."""
    data = b""
    while len(data.partition(b"\r\n\r\n")[2]) < len(BODY):
        data += connection.recv(65536) or pytest.fail(f"the connection ended after {len(data)} bytes")
    head, _, body = data.partition(b"\r\n\r\n")
    return head, body


def segments(connection: socket.socket) -> int:
    """Segments with data that have arrived."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    count: int = struct.unpack_from("=I", info, DATA_SEGMENTS_IN)[0]
    return count


def test_an_answer_with_vectors_arrives_in_one_segment(connection: socket.socket) -> None:
    for number in range(1, 4):
        ask(connection, "/v1/embeddings")
        head, body = answer(connection)
        assert head.startswith(b"HTTP/1.1 200")
        assert b"x-request-id: " in head
        assert body == BODY
        assert segments(connection) == number


def test_two_requests_at_once_are_answered_in_order(connection: socket.socket) -> None:
    ask(connection, "/v1/embeddings", "POST", "x-request-id: one")
    ask(connection, "/v1/embeddings", "POST", "x-request-id: two")
    head, rest = answer(connection)
    while rest.count(BODY) < 2:
        rest += connection.recv(65536) or pytest.fail("the connection ended")
    assert b"x-request-id: one" in head
    assert rest.startswith(BODY + b"HTTP/1.1 200")
    assert b"x-request-id: two" in rest


def test_a_piece_does_not_wait_for_the_next(connection: socket.socket, app: App) -> None:
    ask(connection, "/v1/embeddings/pieces")
    received = b""
    while not received.endswith(b"\r\n\r\n" + BODY[:1000]):
        received += connection.recv(65536)
    app.may_go_on.set()
    while not received.endswith(b"\r\n\r\n" + BODY):
        received += connection.recv(65536)


def test_an_answer_that_ends_the_connection_arrives_whole(connection: socket.socket) -> None:
    ask(connection, "/v1/embeddings", "POST", "connection: close")
    assert answer(connection)[1] == BODY
    assert connection.recv(1) == b""


def test_an_answer_without_a_body_arrives(connection: socket.socket) -> None:
    ask(connection, "/v1/embeddings", "HEAD")
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += connection.recv(65536)
    assert received.startswith(b"HTTP/1.1 200")


def test_a_defect_after_the_head_ends_the_connection(connection: socket.socket) -> None:
    ask(connection, "/v1/embeddings/broken")
    received = b""
    while data := connection.recv(65536):
        received += data
    assert received.startswith(b"HTTP/1.1 200")
    assert BODY not in received

"""Long bodies arrive whole however they are cut, and their connection goes on as uvicorn's."""

from __future__ import annotations

import gc
import random
import socket
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from deployments.serve_internals import cut_off, long_bodies, slow_heads
from deployments.serve_internals.long_bodies import LEAST

SIZE = 300_000
BODY = random.Random(1).randbytes(SIZE)
TIMEOUT_S = 60


class App:
    """Says how long a body was and what it was, and remembers how it came."""

    def __init__(self) -> None:
        self.counted: list[tuple[int, bool]] = []
        self.gathered = 0
        self.kinds: list[str] = []
        self.ended = threading.Event()
        self.bodies: list[weakref.ref[Any]] = []

    def came(self, size: int, *, whole: bool) -> None:
        self.counted.append((size, whole))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cut_off.note(scope, send)
        declared = int(dict(scope["headers"]).get(b"content-length", b"0"))
        try:
            body, more = b"", True
            while more:
                long_body = long_bodies.begin(scope, declared - len(body), self.came)
                self.gathered += long_body is not None
                try:
                    message = await receive()
                finally:
                    if long_body is not None:
                        long_body.end()
                        self.bodies.append(weakref.ref(long_body))
                self.kinds.append(message["type"])
                if message["type"] == "http.disconnect":
                    return
                body, more = body + message["body"], message["more_body"]
        finally:
            cut_off.forget(scope)
            self.ended.set()
        content = b"%d %d" % (len(body), body == BODY)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", str(len(content)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": content})


@pytest.fixture(params=["uvloop", "asyncio"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[App, int]]:
    app = App()
    listener = socket.create_server(("127.0.0.1", 0))
    http = slow_heads.limited(TIMEOUT_S)
    server = uvicorn.Server(uvicorn.Config(app, http=http, loop=request.param, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield app, int(listener.getsockname()[1])
    server.should_exit = True
    thread.join()


def head(size: int = SIZE) -> bytes:
    return b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size


def exchanged(connection: socket.socket) -> bytes:
    """The content of the next answer, which is read a byte at a time: others may follow."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        byte = connection.recv(1)
        assert byte
        answer += byte
    assert answer.startswith(b"HTTP/1.1 200")
    content = b""
    left = int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(content) < left:
        content += connection.recv(left - len(content))
    return content


@pytest.mark.parametrize("piece", [4_000, 65_536, SIZE - 1], ids=["small pieces", "64 KiB", "all but a byte"])
def test_a_body_that_comes_in_pieces_is_whole_and_so_are_those_after_it(served: tuple[App, int], piece: int) -> None:
    app, port = served
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(3):
            client.sendall(head() + BODY[: LEAST + 1])
            for at in range(LEAST + 1, SIZE, piece):
                client.sendall(BODY[at : at + piece])
            assert exchanged(client) == b"%d 1" % SIZE
            client.sendall(head(5) + b"short")
            assert exchanged(client) == b"5 0"
    assert app.kinds[-1] == "http.request"


def test_the_request_behind_a_body_is_left_to_uvicorn(served: tuple[App, int]) -> None:
    app, port = served
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as client:
        client.sendall(head() + BODY[:200_000])
        app.ended.wait(0.2)  # so that the rest comes later than the beginning
        client.sendall(BODY[200_000:] + head(5) + b"after" + head() + BODY)
        assert [exchanged(client) for _ in range(3)] == [b"%d 1" % SIZE, b"5 0", b"%d 1" % SIZE]
    assert app.gathered >= 1
    assert sum(size for size, _ in app.counted) in {SIZE * n for n in (1, 2)}
    assert app.counted[-1][1] is True


def test_a_client_that_goes_in_the_middle_is_heard_of(served: tuple[App, int]) -> None:
    app, port = served
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as client:
        client.sendall(head() + BODY[:200_000])
        app.ended.wait(0.2)
    assert app.ended.wait(TIMEOUT_S)
    assert app.kinds[-1] == "http.disconnect"
    assert app.gathered == 1


def test_who_sent_little_gets_no_room(served: tuple[App, int]) -> None:
    app, port = served
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as client:
        client.sendall(head(32 << 20) + BODY[: LEAST - 1])
        app.ended.wait(0.2)
    assert app.ended.wait(TIMEOUT_S)
    assert app.gathered == 0


def test_nothing_of_a_body_stays_with_its_connection(served: tuple[App, int]) -> None:
    app, port = served
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as client:
        client.sendall(head() + BODY[:200_000])
        app.ended.wait(0.2)
        client.sendall(BODY[200_000:])
        assert exchanged(client) == b"%d 1" % SIZE
        kept = [one for ref in app.bodies if (one := ref()) is not None]
        assert all(one._body == b"" and one._cycle is None and one._came is None for one in kept)


def test_bytes_that_nobody_has_seen_take_what_is_written_to_them() -> None:
    body, room = long_bodies.blank(SIZE)
    room[:] = BODY
    assert type(body) is bytes
    assert body == BODY
    assert hash(body) == hash(BODY)
    del room
    gc.collect()
    assert body == BODY

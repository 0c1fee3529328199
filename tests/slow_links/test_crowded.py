"""What HAProxy makes of a gateway that tells how many requests it wants to have open."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.serve_internals.haproxy_rules import HEARD_S, OPEN_PLACES, REFUSING, Rules
from tests.faults.hostile.case import JSON
from tests.faults.wire import receive, request
from tests.integration.waiting import wait
from tests.slow_links.front import Front

PLACES = 256
ASK = request(b"{}", headers=JSON)


class Teller:
    """A server that answers one request at a time when it is told to, and says in each answer what it wants."""

    def __init__(self) -> None:
        self.told: int | None = None
        self.holds = threading.Event()
        self.waiting = 0
        self.refusing = 0  # requests that said so
        self._guard = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            data = b""
            while received := connection.recv(65536):
                data += received
                while b"\r\n\r\n" in data:
                    head, _, data = data.partition(b"\r\n\r\n")
                    data = data.removeprefix(b"{}")
                    if head.startswith(b"POST"):
                        self.refusing += f"\r\n{REFUSING}: 1".encode() in head
                        self._wait()
                    told = b"" if self.told is None else f"{OPEN_PLACES}: {self.told}\r\n".encode()
                    connection.sendall(b"HTTP/1.1 200 OK\r\n" + told + b"content-length: 2\r\n\r\n{}")

    def _wait(self) -> None:
        with self._guard:
            self.waiting += 1
        while self.holds.is_set():
            time.sleep(0.01)
        with self._guard:
            self.waiting -= 1


@pytest.fixture
def teller() -> Iterator[Teller]:
    server = Teller()
    yield server
    server.holds.clear()
    server.listener.close()


@pytest.fixture
def front(teller: Teller, tmp_path: Path) -> Iterator[Front]:
    with Front(tmp_path, [teller.listener.getsockname()[1]], Rules(0.25)).running() as haproxy:
        wait("a server behind HAProxy", lambda: answered(haproxy) == 200)
        yield haproxy


def answered(front: Front) -> int | None:
    """How one request is answered."""
    with socket.create_connection(("127.0.0.1", front.port), 30) as connection:
        connection.sendall(ASK)
        answer = receive(connection)
        assert answer is None or OPEN_PLACES not in answer.headers
        return answer and answer.status


def refused(front: Front, teller: Teller, count: int) -> int:
    """Of so many requests from as many clients that are open at once, how many HAProxy refuses."""
    teller.holds.set()
    with contextlib.ExitStack() as stack:
        opened = []
        for number in range(count):
            source = (f"127.0.{1 + number // 200}.{1 + number % 200}", 0)  # each has a share of its own
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", front.port), 30, source))
            connection.sendall(ASK)
            opened.append(connection)
        refusals = 0

        def all_told() -> bool:
            nonlocal refusals
            for connection in list(opened):
                connection.settimeout(0.001)
                with contextlib.suppress(TimeoutError):
                    answer = receive(connection)
                    assert answer is not None
                    assert answer.status == 503
                    assert answer.headers["retry-after"] in "123"
                    opened.remove(connection)
                    refusals += 1
            return refusals + teller.waiting == count

        wait("all requests", all_told)
        teller.holds.clear()
        for connection in opened:
            connection.settimeout(30)
            answer = receive(connection)
            assert answer is not None
            assert answer.status == 200
    wait("nobody", lambda: teller.waiting == 0)
    return refusals


def test_no_more_are_let_in_than_the_gateway_tells_and_all_again_when_it_tells_nothing(
    front: Front, teller: Teller
) -> None:
    assert refused(front, teller, 100) == 0
    teller.told = 12
    assert answered(front) == 200
    assert refused(front, teller, 100) == 88
    teller.told = None
    wait("places", lambda: refused(front, teller, 60) == 0)


def test_what_a_gateway_told_that_answers_nothing_any_more_is_forgotten(front: Front, teller: Teller) -> None:
    teller.told = 0
    assert answered(front) == 200
    began = time.monotonic()
    wait("places", lambda: answered(front) == 200)
    assert time.monotonic() - began < 10 * HEARD_S


def test_a_gateway_hears_while_others_are_refused_because_it_is_full_and_from_nobody_else(
    front: Front, teller: Teller
) -> None:
    with socket.create_connection(("127.0.0.1", front.port), 30) as connection:
        connection.sendall(request(b"{}", headers=(*JSON, (REFUSING, "1"))))
        assert receive(connection) is not None
    assert (refused(front, teller, PLACES), teller.refusing) == (0, 0)
    assert refused(front, teller, PLACES + 20) == 20
    assert answered(front) == 200
    assert teller.refusing == 1
    time.sleep(HEARD_S)
    assert answered(front) == 200
    assert teller.refusing == 1

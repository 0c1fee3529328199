"""Clients that ask before they send a body, and clients of HTTP/1.0, through HAProxy as Serve runs it and the gateway's application."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from deployments.serve_internals.haproxy_rules import Rules
from tests.integration.waiting import wait
from tests.slow_links.front import Front
from tests.slow_links.gateway import SMALL, running
from tests.slow_links.good import ask

BODY = json.dumps({"model": "m", "input": SMALL}).encode()
LARGE = json.dumps({"model": "m", "input": SMALL, "user": "x" * 200_000}).encode()  # more than HAProxy's buffer holds


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with (
        running(tmp_path_factory.mktemp("gateway")) as gateway,
        Front(tmp_path_factory.mktemp("front"), [gateway.port], Rules(0.25)).running() as haproxy,
    ):
        wait("a gateway behind HAProxy", lambda: not ask(haproxy.port, 1).failures)
        yield haproxy


def head(version: str, body: bytes, *more: str, host: bool = True) -> bytes:
    lines = [f"POST /v1/embeddings HTTP/{version}", *(["host: x"] if host else []), "content-type: application/json"]
    return "\r\n".join([*lines, f"content-length: {len(body)}", *more, "", ""]).encode()


class Reader:
    """Answers on a connection, one after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb")

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next one; the status is 0 where the connection ended instead."""
        line = self._file.readline()
        if not line:
            return 0, {}, b""
        status = int(line.split()[1])
        headers = {}
        while (field := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = field.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = self._file.read(int(headers["content-length"])) if "content-length" in headers else b""
        return status, headers, body


@pytest.mark.parametrize("body", [BODY, LARGE], ids=["that fits into a buffer", "that does not"])
def test_a_client_that_asks_first_is_told_to_send_a_body(front: Front, body: bytes) -> None:
    with socket.create_connection(("127.0.0.1", front.port), 30) as connection:
        reader = Reader(connection)
        for _ in range(2):  # the connection stays good for the next request
            connection.sendall(head("1.1", body, "expect: 100-continue"))
            assert reader.answer()[0] == 100
            connection.sendall(body)
            status, _, content = reader.answer()
            assert status == 200
            assert json.loads(content)["data"]


def test_a_client_that_asks_first_and_does_not_wait_is_answered_all_the_same(front: Front) -> None:
    with socket.create_connection(("127.0.0.1", front.port), 30) as connection:
        connection.sendall(head("1.1", BODY, "expect: 100-continue") + BODY)
        reader = Reader(connection)
        statuses = [reader.answer()[0]]
        if statuses == [100]:
            statuses.append(reader.answer()[0])
        assert statuses[-1] == 200


@pytest.mark.parametrize("host", [True, False], ids=["with a host", "without one"])
def test_a_client_of_the_old_protocol_is_answered_and_its_connection_ends(front: Front, host: bool) -> None:
    with socket.create_connection(("127.0.0.1", front.port), 30) as connection:
        connection.sendall(head("1.0", BODY, host=host) + BODY)
        reader = Reader(connection)
        status, headers, content = reader.answer()
        assert (status, len(json.loads(content)["data"])) == (200, 1)
        assert "transfer-encoding" not in headers
        assert reader.answer()[0] == 0


def test_a_client_of_the_old_protocol_may_keep_its_connection(front: Front) -> None:
    with socket.create_connection(("127.0.0.1", front.port), 30) as connection:
        reader = Reader(connection)
        for _ in range(3):
            connection.sendall(head("1.0", BODY, "connection: keep-alive") + BODY)
            status, headers, _ = reader.answer()
            assert (status, headers["connection"].lower()) == (200, "keep-alive")
        connection.sendall(head("1.0", BODY) + BODY)
        assert reader.answer()[0] == 200
        assert reader.answer()[0] == 0


def test_a_client_that_wants_its_connection_closed_gets_that(front: Front) -> None:
    with socket.create_connection(("127.0.0.1", front.port), 30) as connection:
        connection.sendall(head("1.1", BODY, "connection: close") + BODY)
        reader = Reader(connection)
        assert reader.answer()[0] == 200
        assert reader.answer()[0] == 0

"""Clients that ask before they send a body, and clients of HTTP/1.0, through HAProxy as Serve runs it and the gateway's application."""

from __future__ import annotations

import json
import socket

import pytest

from tests.slow_links.front import Front
from tests.slow_links.gateway import SMALL
from tests.slow_links.reader import Reader

BODY = json.dumps({"model": "m", "input": SMALL}).encode()
LARGE = json.dumps({"model": "m", "input": SMALL, "user": "x" * 200_000}).encode()  # more than HAProxy's buffer holds


def head(version: str, body: bytes, *more: str, host: bool = True) -> bytes:
    lines = [f"POST /v1/embeddings HTTP/{version}", *(["host: x"] if host else []), "content-type: application/json"]
    return "\r\n".join([*lines, f"content-length: {len(body)}", *more, "", ""]).encode()


@pytest.mark.parametrize("body", [BODY, LARGE], ids=["that fits into a buffer", "that does not"])
def test_a_client_that_asks_first_is_told_to_send_a_body(front: Front, body: bytes) -> None:
    with socket.create_connection(("127.0.0.1", front.port), 30) as connection:
        reader = Reader(connection)
        for _ in range(2):  # the connection stays good for the next request
            connection.sendall(head("1.1", body, "expect: 100-continue"))
            assert reader.answer().status == 100
            connection.sendall(body)
            answer = reader.answer()
            assert answer.status == 200
            assert json.loads(answer.body)["data"]


def test_a_client_that_asks_first_and_does_not_wait_is_answered_all_the_same(front: Front) -> None:
    with socket.create_connection(("127.0.0.1", front.port), 30) as connection:
        connection.sendall(head("1.1", BODY, "expect: 100-continue") + BODY)
        reader = Reader(connection)
        statuses = [reader.answer().status]
        if statuses == [100]:
            statuses.append(reader.answer().status)
        assert statuses[-1] == 200


@pytest.mark.parametrize("host", [True, False], ids=["with a host", "without one"])
def test_a_client_of_the_old_protocol_is_answered_and_its_connection_ends(front: Front, host: bool) -> None:
    with socket.create_connection(("127.0.0.1", front.port), 30) as connection:
        connection.sendall(head("1.0", BODY, host=host) + BODY)
        reader = Reader(connection)
        answer = reader.answer()
        assert (answer.status, len(json.loads(answer.body)["data"])) == (200, 1)
        assert "transfer-encoding" not in answer.headers
        assert reader.answer().status == 0


def test_a_client_of_the_old_protocol_may_keep_its_connection(front: Front) -> None:
    with socket.create_connection(("127.0.0.1", front.port), 30) as connection:
        reader = Reader(connection)
        for _ in range(3):
            connection.sendall(head("1.0", BODY, "connection: keep-alive") + BODY)
            answer = reader.answer()
            assert (answer.status, answer.headers["connection"].lower()) == (200, "keep-alive")
        connection.sendall(head("1.0", BODY) + BODY)
        assert reader.answer().status == 200
        assert reader.answer().status == 0


def test_a_client_that_wants_its_connection_closed_gets_that(front: Front) -> None:
    with socket.create_connection(("127.0.0.1", front.port), 30) as connection:
        connection.sendall(head("1.1", BODY, "connection: close") + BODY)
        reader = Reader(connection)
        assert reader.answer().status == 200
        assert reader.answer().status == 0

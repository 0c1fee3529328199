"""What a gateway does about slow clients where nobody stands before it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.faults.hostile.case import JSON
from tests.faults.wire import receive, request
from tests.slow_links.crowd import MANNERS, Crowd, Slowness
from tests.slow_links.gateway import SMALL, Gateway, running
from tests.slow_links.good import ask


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway")) as process:
        yield process


@pytest.mark.parametrize("slowness", MANNERS)
def test_no_good_request_is_lost_beside_seven_hundred_that_are_slow_with(gateway: Gateway, slowness: Slowness) -> None:
    with Crowd(slowness, 700, gateway.port).present():
        good = ask(gateway.port, 100, pause_s=0.02, fresh=True)
    assert good.failures == []


@pytest.mark.slow
def test_ten_times_as_many_that_are_slow_with_heads_as_it_has_places_are_ended_again_and_again(
    gateway: Gateway,
) -> None:
    crowd = Crowd("heads", 2560, gateway.port)
    with crowd.trying(lambda: crowd.ended["408"] + crowd.ended["closed"] > 2560):
        good = ask(gateway.port, 100, pause_s=0.02, fresh=True)
    assert good.failures == []
    assert set(crowd.ended) <= {"408", "closed"}
    assert {json.loads(body)["error"]["code"] for body in crowd.bodies} == {"head_too_slow"}


@pytest.mark.parametrize(("method", "status"), [("GET", 405), ("POST", 400)])
def test_who_asks_for_websockets_is_refused_in_json_and_may_ask_again(
    gateway: Gateway, method: str, status: int
) -> None:
    body = json.dumps({"model": "m", "input": SMALL}).encode() if method == "POST" else b""
    head = (
        f"{method} /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as connection:
        connection.sendall(head.encode() + body)  # behind such a head the body is not read
        answer = receive(connection)
        connection.sendall(request(json.dumps({"model": "m", "input": SMALL}).encode(), headers=JSON))
        after = receive(connection)
    assert answer is not None
    assert (answer.status, answer.problem()) == (status, None)
    assert after is not None
    assert after.status == 200


def test_a_body_below_the_floor_is_cut_off_and_told_the_floor(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as connection:
        connection.sendall(MANNERS["megabytes"].at_once[:10_000])
        answer = receive(connection)
    assert answer is not None
    assert answer.status == 408
    assert answer.headers["connection"] == "close"
    assert "at least 16384 bytes a second" in json.loads(answer.body)["error"]["message"]


def test_a_body_that_stalls_and_drips_and_then_comes_is_read_whole(gateway: Gateway) -> None:
    body = json.dumps({"model": "m", "input": SMALL, "user": "x" * 400_000}).encode()
    sent = request(body, headers=JSON)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as connection:
        connection.sendall(sent[:100_000])
        time.sleep(1.5)  # so that it counts as one of those that drip
        for at in range(100_000, 100_400, 10):
            connection.sendall(sent[at : at + 10])
            time.sleep(0.002)
        connection.sendall(sent[100_400:])
        answer = receive(connection)
        assert answer is not None
        assert answer.status == 200
        connection.sendall(request(body[:40] + b'"}', headers=JSON))  # it is read on
        assert (again := receive(connection)) is not None
        assert again.status in (200, 400)

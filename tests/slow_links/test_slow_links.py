"""Who sends or reads slowly costs a connection, is told so, and takes nothing from anybody else."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from deployments.serve_internals.haproxy_rules import LAST, Rules
from tests.faults.hostile.case import JSON
from tests.faults.wire import exchange, receive, request
from tests.integration.waiting import wait
from tests.slow_links.crowd import MANNERS, Crowd, Slowness
from tests.slow_links.front import Front
from tests.slow_links.gateway import SMALL, Gateway, running
from tests.slow_links.good import ask

FULL = pytest.mark.slow
TRUSTED, OTHER = "127.0.0.9", "127.0.0.2"  # a load balancer, and a client that is not the good one
RULES = Rules(0.25, (f"{TRUSTED}/32",))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway")) as process:
        yield process


@pytest.fixture(scope="module")
def front(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with Front(tmp_path_factory.mktemp("front"), [gateway.port], RULES).running() as haproxy:
        wait("a gateway behind HAProxy", lambda: not ask(haproxy.port, 1).failures)
        yield haproxy


def code_of(body: bytes) -> str:
    """The code of an error, whose whole shape is checked."""
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return str(error["code"])


@pytest.mark.parametrize("slowness", MANNERS)
@pytest.mark.parametrize("size", [700, pytest.param(2560, marks=FULL)])
def test_no_good_request_is_lost_beside_a_crowd_that_is_slow_with(front: Front, slowness: Slowness, size: int) -> None:
    with Crowd(slowness, size, front.port).present() as crowd:
        good = ask(front.port, 100, pause_s=0.02, fresh=True)
    assert good.failures == []
    assert set(crowd.ended) <= {"408", "503", "closed"}
    assert {code_of(body) for body in crowd.bodies if body.startswith(b"{")} <= {"body_too_slow", "unavailable"}


def test_a_body_that_stalls_is_answered_in_json_under_a_request_id(front: Front) -> None:
    with socket.create_connection(("127.0.0.1", front.port), timeout=30) as connection:
        connection.sendall(MANNERS["small bodies"].at_once)
        answer = receive(connection)
    assert answer is not None
    assert answer.status == 408
    assert answer.problem() is None
    assert answer.headers["x-request-id"]
    assert answer.headers["connection"] == "close"


def test_who_is_answered_before_the_body_has_ended_is_told_that_the_connection_ends(front: Front) -> None:
    """Else a client sends its next request into a connection that is being closed, and gets no answer."""
    head = b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", front.port), timeout=30) as connection:
        connection.sendall(head + b"2100000\r\n" + b"x" * 0x2100000)
        answer = receive(connection)
    assert answer is not None
    assert (answer.status, code_of(answer.body)) == (413, "body_too_large")
    assert answer.headers["connection"] == "close"
    assert LAST not in answer.headers


@pytest.mark.parametrize("count", [101, 1000])
def test_more_than_a_hundred_headers_are_refused_in_json(front: Front, count: int) -> None:
    headers = [(f"x-{i}", "y") for i in range(count - 2)]  # beside Host and Content-Length
    answer = exchange(front.port, request(b"{}", headers=headers))
    assert answer is not None
    assert (answer.status, code_of(answer.body)) == (431, "headers_too_large")
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("size", [16_400, 60_000])
def test_headers_above_16_kib_are_refused_in_json(front: Front, size: int) -> None:
    answer = exchange(front.port, request(b"{}", headers=[("x-large", "y" * size)]))
    assert answer is not None
    assert (answer.status, code_of(answer.body)) == (431, "headers_too_large")


def test_a_hundred_headers_and_nearly_16_kib_of_them_pass(front: Front) -> None:
    body = json.dumps({"model": "m", "input": SMALL}).encode()
    headers = [*JSON, *((f"x-{i:02}", "y" * 140) for i in range(95))]
    answer = exchange(front.port, request(body, headers=headers))
    assert answer is not None
    assert answer.status == 200

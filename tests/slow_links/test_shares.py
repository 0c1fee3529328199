"""One client among others gets its share of connections and places, and no more while there are few left."""

from __future__ import annotations

import contextlib
import json
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.serve_internals.haproxy_rules import Rules
from tests.faults.hostile.case import JSON
from tests.faults.wire import Answer, exchange, receive, request
from tests.integration.waiting import wait
from tests.slow_links.crowd import Crowd
from tests.slow_links.front import Front
from tests.slow_links.gateway import Gateway, running
from tests.slow_links.good import ask

GREEDY, BALANCER = "127.0.0.2", "127.0.0.9"
CONNECTIONS = 400  # that HAProxy takes here
PLACES = 256  # of a gateway
LEFT, SOON_S = 5, 3.0  # places that others may have left; until a refusal is there, on a busy machine
UNANSWERED = json.dumps({"model": "m", "input": "a text whose encoder never answers"}).encode()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway"), queue={"timeout_s": 120}) as process:
        yield process


@contextlib.contextmanager
def before(gateway: Gateway, folder: Path) -> Iterator[Front]:
    rules = Rules(0.25, (f"{BALANCER}/32",))
    with Front(folder, [gateway.port], rules, connections=2 * CONNECTIONS).running() as haproxy:
        wait("a gateway behind HAProxy", lambda: not ask(haproxy.port, 1).failures)
        yield haproxy


@pytest.fixture
def front(gateway: Gateway, tmp_path: Path) -> Iterator[Front]:
    with before(gateway, tmp_path) as haproxy:
        yield haproxy


@contextlib.contextmanager
def holding(front: Front, host: str, count: int, *more: tuple[str, str]) -> Iterator[Counter[int | None]]:
    """Requests that wait for an encoder, from one address; yields how those were answered that do not wait."""
    statuses: Counter[int | None] = Counter()
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", front.port), 30, (host, 0))
            stack.callback(connection.close)
            connection.sendall(request(UNANSWERED, headers=(*JSON, *more)))
            opened.append(connection)
        for connection in opened:
            connection.settimeout(0.01)
            with contextlib.suppress(TimeoutError):
                answer = receive(connection)
                assert answer is None or answer.problem() is None
                statuses[answer and answer.status] += 1
        yield statuses


@contextlib.contextmanager
def refused(front: Front, host: str, sent: bytes) -> Iterator[Answer]:
    """The answer to a request for which there is no place; who was there before may have left one, which is taken first."""
    with contextlib.ExitStack() as stack:
        answer = None
        for _ in range(LEFT):
            connection = socket.create_connection(("127.0.0.1", front.port), 30, (host, 0))
            stack.callback(connection.close)
            connection.sendall(sent)
            connection.settimeout(SOON_S)
            with contextlib.suppress(TimeoutError):
                answer = receive(connection)
                break
        assert answer is not None
        yield answer


def test_who_takes_all_connections_keeps_nobody_out(gateway: Gateway, tmp_path: Path) -> None:
    with Front(tmp_path, [gateway.port], Rules(0.25), connections=CONNECTIONS).running() as front:
        wait("a gateway behind HAProxy", lambda: not ask(front.port, 1).failures)
        crowd = Crowd("heads", 10 * CONNECTIONS, front.port, GREEDY)
        with crowd.trying(lambda: crowd.refused > CONNECTIONS):
            good = ask(front.port, 50, fresh=True)
    assert good.failures == []


def test_who_takes_all_places_keeps_nobody_out(front: Front) -> None:
    with holding(front, GREEDY, 2 * PLACES) as statuses:
        assert statuses[503] >= PLACES
        assert ask(front.port, 50, fresh=True).failures == []


def test_behind_a_load_balancer_the_address_that_it_forwards_for_counts(front: Front) -> None:
    """And what a client writes into the header itself does not."""
    body = request(UNANSWERED.replace(b"whose", b"of which the"), headers=JSON)
    forwarded = ("x-forwarded-for", "203.0.113.9, 198.51.100.7")
    with holding(front, BALANCER, 2 * PLACES, forwarded) as statuses:
        assert statuses[503] >= PLACES
        good = {"model": "m", "input": "a small text"}
        other = [("x-forwarded-for", "203.0.113.9, 198.51.100.8")]
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", front.port), 30, (BALANCER, 0)) as connection:
                connection.sendall(request(json.dumps(good).encode(), headers=(*JSON, *other)))
                answer = receive(connection)
            assert answer is not None
            assert answer.status == 200, answer.body
        named = body.replace(b"\r\n\r\n", b"\r\nx-forwarded-for: 203.0.113.9, 198.51.100.7\r\n\r\n", 1)
        with refused(front, BALANCER, named) as answer:
            assert answer.status == 503
            assert "share" in json.loads(answer.body)["error"]["message"]


def test_a_refusal_carries_the_request_id_that_its_client_chose(front: Front) -> None:
    sent = request(UNANSWERED, headers=(*JSON, ("x-request-id", "mine:1")))
    with holding(front, GREEDY, 2 * PLACES), refused(front, GREEDY, sent) as answer:
        assert (answer.status, answer.headers["x-request-id"]) == (503, "mine:1")
        assert answer.headers["retry-after"] in "123"
        assert 1000 <= int(answer.headers["retry-after-ms"]) < 3000


def test_a_place_is_free_again_when_its_client_is_gone(tmp_path: Path) -> None:
    # With a gateway of its own: one that was crowded a moment ago lets fewer in.
    with (
        running(tmp_path, queue={"timeout_s": 120}) as gateway,
        before(gateway, tmp_path) as front,
    ):
        for _ in range(3):
            with holding(front, "127.0.0.1", PLACES // 2) as statuses:
                assert statuses[503] == 0
            wait("places", lambda: exchange(front.port, request(b"{}", headers=JSON)) is not None)
        with holding(front, "127.0.0.1", PLACES // 2) as statuses:
            assert statuses[503] == 0

"""A gateway holds no more of requests and answers than it may, and who is slow loses first."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.hostile.case import JSON
from tests.faults.wire import exchange, request
from tests.integration.waiting import wait
from tests.slow_links.crowd import MANNERS, Crowd
from tests.slow_links.gateway import SMALL, Gateway, running

BYTES = 4 << 20


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway"), limits={"bytes_in_flight": BYTES}) as process:
        yield process


def test_ten_times_the_bytes_that_may_be_in_flight_are_not_held_and_a_whole_body_finds_room(gateway: Gateway) -> None:
    before = gateway.counts()["memory"]
    large = {"model": "m", "input": SMALL, "user": "x" * 1_000_000}
    crowd = Crowd("megabytes", 10 * BYTES // 100_000, gateway.port)
    with crowd.trying(lambda: crowd.ended["503"] > 10 * BYTES // 100_000):
        answers = [exchange(gateway.port, request(json.dumps(large).encode(), headers=JSON)) for _ in range(10)]
        after = gateway.counts()
    assert [answer and answer.status for answer in answers] == [200] * 10
    assert after["cut_off"]["memory"] >= crowd.ended["503"]
    assert after["memory"] - before < 10 * BYTES
    assert all(json.loads(body)["error"]["code"] == "unavailable" for body in crowd.bodies)


def test_answers_that_nobody_reads_are_given_up_where_others_need_the_room(gateway: Gateway) -> None:
    crowd = Crowd("readers", 40, gateway.port)
    before = gateway.counts()["cut_off"].get("memory", 0)
    with crowd.trying(lambda: gateway.counts()["cut_off"].get("memory", 0) >= before + 39):
        time.sleep(0.5)  # in which the last of them shows that it does not read
        answer = exchange(gateway.port, MANNERS["readers"].at_once)
    assert answer is not None
    assert answer.status == 200
    assert len(json.loads(answer.body)["data"]) == 100


def test_the_system_keeps_little_of_an_answer_that_nobody_reads(gateway: Gateway) -> None:
    with Crowd("readers", 1, gateway.port).present():
        wait("an answer under way", lambda: unread(gateway.port) > 0)
        time.sleep(0.5)
        assert unread(gateway.port) < 300_000  # of 2.2 MB


def unread(port: int) -> int:
    """Bytes that the system holds for clients of a port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return sum(int(row[4].partition(":")[0], 16) for row in rows if int(row[1].rpartition(":")[2], 16) == port)

"""Lists of the largest size cost what they cost: they find room for it or are told to come again, and others pass."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.faults.hostile.case import JSON
from tests.faults.wire import exchange, request
from tests.integration.waiting import wait
from tests.slow_links.crowd import Crowd, Manner
from tests.slow_links.gateway import SMALL, Gateway, running
from tests.slow_links.good import ask

BYTES = 8 << 20
ROOM = 4  # such lists find room together
LIST = request(json.dumps({"model": "m", "input": [SMALL] * 2048}).encode(), headers=JSON)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway"), limits={"bytes_in_flight": BYTES}) as process:
        yield process


def test_ten_times_the_lists_that_find_room_fail_no_short_request_and_take_no_more_memory(gateway: Gateway) -> None:
    before = gateway.counts()["memory"]
    crowd = Crowd("small bodies", 40 * ROOM, gateway.port, manner=Manner(LIST))
    with crowd.trying(lambda: crowd.ended["503"] >= 40 * ROOM):
        good = ask(gateway.port, 50, fresh=True)
        after = gateway.counts()["memory"]
    assert good.failures == []
    assert set(crowd.ended) <= {"200", "503"}
    assert after - before < 10 * BYTES


def test_one_list_after_the_other_finds_room(gateway: Gateway) -> None:
    wait("room", lambda: (answer := exchange(gateway.port, LIST)) is not None and answer.status == 200)
    for _ in range(5 * ROOM):
        answer = exchange(gateway.port, LIST)
        assert answer is not None
        assert answer.status == 200
        assert [one["index"] for one in json.loads(answer.body)["data"]] == list(range(2048))

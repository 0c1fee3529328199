"""Engines that hang or fail: their work goes elsewhere, they are replaced, and health says what is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import pytest

from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import open_embedder
from models.modalities.text import TextEmbedder
from tests.faults.conftest import ENGINE_S
from tests.faults.failing import BROKEN, FAIL, FAIL_ALL, HANG, HANG_ALL
from tests.faults.fleet import ENCODER, MODEL, Fleet
from tests.integration.waiting import wait

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def embed(impatient: Fleet, text: str, within_s: int = 60) -> httpx2.Response:
    body, headers = {"model": "text-embedding", "input": text}, {"x-request-timeout-seconds": str(within_s)}
    return httpx2.post(f"{impatient.url}/v1/embeddings", json=body, headers=headers, timeout=90, trust_env=False)


def health(impatient: Fleet, kind: str) -> int:
    return httpx2.get(f"{impatient.url}/health/{kind}", timeout=30, trust_env=False).status_code


@pytest.mark.parametrize("fault", [HANG, FAIL], ids=["hangs", "fails"])
def test_the_work_of_a_replica_whose_engine_is_answered_by_another_and_it_is_replaced(
    impatient: Fleet, fault: str
) -> None:
    embedder = open_embedder(pull(Catalog.load().find(MODEL), allow_synthetic=True))
    assert isinstance(embedder, TextEmbedder)
    before = impatient.pids(ENCODER)
    with impatient.traffic(clients=4) as traffic:
        traffic.wait_for(20)
        answer = embed(impatient, fault)
        wait("a successor", lambda: len(pids := impatient.pids(ENCODER)) == 2 and len(pids & before) == 1)
        traffic.wait_for(20)
    assert traffic.failures == []
    assert answer.status_code == 200, answer.text
    vector = np.array(answer.json()["data"][0]["embedding"], np.float32)
    np.testing.assert_array_equal(vector, embedder.embed([fault])[0])


def test_an_input_at_which_every_engine_hangs_takes_two_replicas_and_no_more(impatient: Fleet) -> None:
    """Once as it came, once alone; not one after the other, eight times."""
    before = impatient.pids(ENCODER)
    answer = embed(impatient, HANG_ALL)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_slow"), answer.text
    seen = set(before)

    def replaced() -> bool:
        seen.update(pids := impatient.pids(ENCODER))
        return len(pids) == 2 and not pids & before and impatient.ready()

    wait("two successors", replaced)
    assert len(seen) == 4


@pytest.fixture
def broken(impatient: Fleet) -> Iterator[Path]:
    """While the file is there, no engine works."""
    file = impatient.isolated.folder / "faults" / BROKEN
    file.touch()
    yield file
    file.unlink(missing_ok=True)
    wait("ready again", impatient.ready)


def test_the_service_is_not_ready_while_no_engine_works_and_is_alive_all_the_time(
    impatient: Fleet, broken: Path
) -> None:
    live, ready = set(), set()

    def ready_is(expected: int) -> Callable[[], bool]:
        def look() -> bool:
            live.add(health(impatient, "live"))
            ready.add(status := health(impatient, "ready"))
            return status == expected

        return look

    wait("not ready", ready_is(503))
    assert embed(impatient, "hello", within_s=5).status_code in (503, 504)  # attempts or time are spent
    broken.unlink()
    wait("ready with new replicas", ready_is(200))
    assert embed(impatient, "hello").status_code == 200
    assert live == {200}
    assert ready == {200, 503}


def test_an_update_during_which_engines_fail_for_long_is_not_given_up(impatient: Fleet) -> None:
    """Serve would start no replica any more after three failures for each of the two wanted."""
    seen, statuses, stop = impatient.pids(ENCODER), set(), threading.Event()
    document = impatient.deployed()
    document["applications"][1]["deployments"][0]["user_config"]["engine_timeout_s"] = ENGINE_S + 1

    def fail() -> None:
        while not stop.is_set():
            statuses.add(embed(impatient, FAIL_ALL).status_code)

    def failed() -> bool:
        seen.update(impatient.pids(ENCODER))
        return len(seen) >= 10  # the two of before, and two more than Serve's patience

    with ThreadPoolExecutor(2) as pool:
        loops = [pool.submit(fail) for _ in range(2)]
        impatient.deploy(document)
        try:
            wait("replicas that fail", failed)
        finally:
            stop.set()
        for loop in loops:
            loop.result()
    wait("ready with new replicas", impatient.ready)
    assert embed(impatient, "hello").status_code == 200
    assert statuses <= {503, 504}

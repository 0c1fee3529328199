"""Engines that hang or fail: their work goes elsewhere, they are replaced, and health says what is."""

from __future__ import annotations

import httpx2
import numpy as np
import pytest

from models.catalog import Catalog
from models.embedder import TextEmbedder, open_embedder
from models.store import pull
from tests.faults.failing import FAIL, FAIL_ALL, HANG
from tests.faults.fleet import ENCODER, MODEL, Fleet, wait

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def embed(impatient: Fleet, text: str) -> httpx2.Response:
    body, headers = {"model": "text-embedding", "input": text}, {"x-request-timeout-seconds": "60"}
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
    assert answer.status_code == 200, answer.text
    vector = np.array(answer.json()["data"][0]["embedding"], np.float32)
    np.testing.assert_array_equal(vector, embedder.embed([fault])[0])
    assert traffic.failures == []


def test_the_service_is_not_ready_while_no_engine_works_and_is_alive_all_the_time(impatient: Fleet) -> None:
    assert embed(impatient, FAIL_ALL).status_code == 503
    statuses = []

    def unready() -> bool:
        embed(impatient, FAIL_ALL)  # as long as one of the two still works, it gets the next
        statuses.append(health(impatient, "live"))
        return health(impatient, "ready") == 503

    wait("not ready", unready)

    def recovered() -> bool:
        statuses.append(health(impatient, "live"))
        return health(impatient, "ready") == 200

    wait("ready with new replicas", recovered)
    assert set(statuses) == {200}
    assert embed(impatient, "hello").status_code == 200

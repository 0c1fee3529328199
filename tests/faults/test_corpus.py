"""A thousand hostile inputs: each is refused in the contract's shape, and the next good request is answered right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.faults.footprint import serving
from tests.faults.good import Good
from tests.faults.hostile import json_bodies, pictures, requests
from tests.faults.hostile.case import Case
from tests.faults.wire import Answer, exchange
from tests.integration.service import Service

LEAST = 300
TEXT_EVERY, PICTURE_EVERY = 5, 40  # hostile inputs between good ones
AT_ONCE = 4
DELIBERATE = {503, 504}


@pytest.fixture(scope="module")
def good() -> Good:
    return Good()


def wrong(case: Case, answer: Answer | None) -> str | None:
    """Why an answer is not what the contract promises; nothing when it is."""
    if answer is None:
        return None if case.entrance else "hung up"
    if answer.status in DELIBERATE and "retry-after" in answer.headers:
        return None
    if answer.status not in case.statuses:
        return f"answered {answer.status}: {answer.body[:160]!r}"
    if answer.status < 400 or (case.entrance and answer.headers.get("content-type", "").startswith("text/")):
        return None
    return answer.problem()


@pytest.mark.parametrize(
    "cases", [json_bodies.cases, pictures.cases, requests.cases], ids=["JSON", "pictures", "requests as such"]
)
def test_every_hostile_input_is_refused_and_harms_nobody(
    service: Service, client: httpx2.Client, good: Good, cases: Callable[[], Iterator[Case]]
) -> None:
    before = set(serving(service))
    failures: dict[str, str] = {}

    def send(numbered: tuple[int, Case]) -> None:
        number, case = numbered
        problem = wrong(case, exchange(service.port, case.parts))
        if problem is None and number % TEXT_EVERY == 0:
            problem = good.text(client)
        if problem is None and number % PICTURE_EVERY == 0:
            problem = good.picture(client)
        if problem is not None:
            failures[case.name] = problem

    with ThreadPoolExecutor(AT_ONCE) as pool:  # some are answered only when a limit of time has passed
        list(pool.map(send, enumerate(cases())))
    assert failures == {}
    assert set(serving(service)) == before
    assert client.get("/health/ready").status_code == 200


def test_the_corpus_is_as_large_as_promised() -> None:
    names = [case.name for cases in (json_bodies, pictures, requests) for case in cases.cases()]
    assert len(set(names)) == len(names) >= LEAST

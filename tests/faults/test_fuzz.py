"""Thousands of damaged inputs: nothing but refusals that say why, no restart, and right answers after them."""

from __future__ import annotations

import http.client
import itertools
import threading
from collections import Counter
from collections.abc import Iterator

import httpx2
import pytest

from models.errors import InputError
from models.inputs.image import decode
from tests.faults.footprint import serving
from tests.faults.good import Good
from tests.faults.mutate import bodies, pictures
from tests.faults.wire import Answer
from tests.integration.service import Service

THREADS = 8
GOOD_EVERY = 250
STATUSES = {200, 400, 404, 413}
Request = tuple[str, str, bytes]  # path, content type, body


def requests(seed: int, json: int, images: int) -> Iterator[Request]:
    for path, body in bodies(seed, json):
        yield path, "application/json", body
    for data in pictures(seed, images):
        yield "/v1/embeddings/image", "image/png", data


class Fuzzer:
    """Sends from several threads, and a good request now and then."""

    def __init__(self, service: Service, client: httpx2.Client, work: Iterator[Request]) -> None:
        self.statuses: Counter[int] = Counter()
        self.failures: list[str] = []
        self._port = service.port
        self._client = client
        self._good = Good()
        self._work = enumerate(work)
        self._lock = threading.Lock()

    def run(self) -> None:
        threads = [threading.Thread(target=self._thread) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _thread(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while True:
            with self._lock:
                number, request = next(self._work, (0, None))
            if request is None:
                connection.close()
                return
            path, kind, body = request
            try:
                connection.request("POST", path, body, {"content-type": kind})
                said = connection.getresponse()
                answer = Answer(said.status, {k.lower(): v for k, v in said.getheaders()}, said.read())
                problem = self._problem(answer)
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                problem = repr(error)
            if problem is None and number % GOOD_EVERY == 0:
                with self._lock:
                    problem = self._good.text(self._client)
            if problem is not None:
                self.failures.append(f"{number}: {problem} to {body[:200]!r}")

    def _problem(self, answer: Answer) -> str | None:
        self.statuses[answer.status] += 1
        if answer.status in (503, 504) and "retry-after" in answer.headers:
            return None
        if answer.status not in STATUSES:
            return f"{answer.status} {answer.body[:200]!r}"
        return None if answer.status == 200 else answer.problem()


@pytest.mark.parametrize(
    ("seed", "json", "images"),
    [
        pytest.param(1, 1500, 200, id="briefly"),
        pytest.param(2, 40_000, 12_000, id="at length", marks=[pytest.mark.slow, pytest.mark.timeout(3000)]),
    ],
)
def test_damaged_requests_are_refused_and_harm_nobody(
    service: Service, client: httpx2.Client, seed: int, json: int, images: int
) -> None:
    before = set(serving(service))
    fuzzer = Fuzzer(service, client, requests(seed, json, images))
    fuzzer.run()
    print(f"\n{sum(fuzzer.statuses.values())} damaged requests: {dict(fuzzer.statuses)}")
    assert fuzzer.failures == []
    assert sum(fuzzer.statuses.values()) == json + images
    assert set(serving(service)) == before
    assert client.get("/health/ready").status_code == 200


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # hundreds of lines about damaged tags
@pytest.mark.parametrize(
    ("seed", "count"),
    [
        pytest.param(3, 4000, id="briefly"),
        pytest.param(4, 60_000, id="at length", marks=[pytest.mark.slow, pytest.mark.timeout(3000)]),
    ],
)
def test_the_decoder_refuses_damaged_pictures_and_raises_nothing_else(seed: int, count: int) -> None:
    outcomes: Counter[str] = Counter()
    for data in pictures(seed, count):
        try:
            assert decode(data).shape == (224, 224, 3)
            outcomes["decoded"] += 1
        except InputError as error:
            outcomes[error.code] += 1
    print(f"\n{count} damaged pictures: {dict(outcomes)}")
    assert min(outcomes["decoded"], outcomes["invalid_image"]) > count // 10


def test_the_same_seed_makes_the_same_inputs() -> None:
    first, second = (list(itertools.islice(pictures(9, 50), 50)) for _ in range(2))
    assert first == second

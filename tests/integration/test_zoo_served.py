"""Every model that `models add` takes is served by a running service, with its library's vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path

import httpx2
import numpy as np
import pytest
import yaml

from tests.integration.served_zoo import (
    Kept,
    Vectors,
    Wild,
    added,
    at_turn,
    document_of,
    encoders_of,
    unseen,
    wild_families,
    wild_pictures,
    wild_texts,
)
from tests.integration.service import QUICK, Service
from tests.integration.waiting import wait
from tests.models.catalog.test_zoo_texts import lowest_cosine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
CLOSE = {"text": 0.999999, "image": 0.99999}
ZOOS: dict[str, Callable[[Path], Iterator[Wild]]] = {
    "texts from weights": partial(wild_texts, finished=False),
    "texts with a finished graph": partial(wild_texts, finished=True),
    "pictures": wild_pictures,
    "families": wild_families,
}
# How many are taken at least: refusing everything is no way to serve what one takes.
TAKEN = {"texts from weights": 132, "texts with a finished graph": 131, "pictures": 140, "families": 30}


@pytest.mark.parametrize("name", ZOOS)
def test_every_model_that_is_taken_answers_its_longest_input_and_a_batch(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"EMBEDSERVE_MODELS": str(tmp_path / "store"), "EMBEDSERVE_CATALOG": str(tmp_path / "catalog.yaml")}
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    kept = added(list(ZOOS[name](tmp_path)), tmp_path / "catalog.yaml")
    assert len(kept) >= TAKEN[name], len(kept)
    encoders = encoders_of(kept)
    configuration = tmp_path / "serve.yaml"
    configuration.write_text(yaml.safe_dump(document_of(encoders, 0)))
    service = Service(tmp_path / "log", "--config", str(configuration), environment={**QUICK, **environment}).wait()
    try:
        wrong = answered(service, encoders)
    finally:
        status = service.stop()
    assert not wrong, "\n".join([f"{len(wrong)} of {len(kept)}", *wrong])
    assert status == 0, service.log.read_text()


def answered(service: Service, encoders: Sequence[Sequence[Kept]]) -> list[str]:
    """Ask every model in turn; returns what was wrong."""
    wrong = []
    with httpx2.Client(base_url=service.url, timeout=60, trust_env=False) as client:
        for turn in range(max(map(len, encoders))):
            if turn:
                service.deploy(document_of(encoders, turn))
            for members in encoders:
                if turn < len(members):
                    problem = asked(client, members[0].spec.model, at_turn(members, turn))
                    wrong += [] if problem is None else [f"{members[turn].wild.name}: {problem}"]
    return wrong


def asked(client: httpx2.Client, label: str, kept: Kept) -> str | None:
    """Ask for the longest input alone and then for all together, once the model serves; returns what was wrong."""
    numbers = count()
    longest = kept.wild.inputs[kept.wild.longest]

    def serves() -> bool:  # new inputs show the swap to the gateway, which answers known ones from its cache until then
        probes = (unseen(kept.spec.type, next(numbers)), longest)
        answers = [client.post("/v1/embeddings", json={"model": label, "input": probe}) for probe in probes]
        return all(answer.headers.get("x-model-hash") == kept.spec.hash for answer in answers)

    wait(f"{label} to serve {kept.wild.name}", serves)
    expected = kept.wild.expected
    taken = np.isfinite(expected).all(axis=1)
    for indices in ([kept.wild.longest], list(np.flatnonzero(taken))):
        inputs = [kept.wild.inputs[i] for i in indices]
        answer = client.post("/v1/embeddings", json={"model": label, "input": inputs})
        if answer.status_code != 200 or answer.headers["x-model-hash"] != kept.spec.hash:
            return f"{len(inputs)} inputs: {answer.status_code} {answer.text[:300]}"
        vectors: Vectors = np.array([row["embedding"] for row in answer.json()["data"]], np.float32)
        known = taken[indices]
        if known.any() and (cosine := lowest_cosine(vectors[known], expected[indices][known])) < CLOSE[kept.spec.type]:
            return f"{len(inputs)} inputs: lowest cosine {cosine}"
    return None

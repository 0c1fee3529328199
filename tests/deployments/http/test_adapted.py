"""Vectors that were mapped into another version's space say so: in the answer's headers and in the list of models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from deployments.contract.embedding import Embedding, Label
from deployments.gateway.cache.key import cache_key
from deployments.rpc.codec import pack_reply, unpack_reply
from tests.deployments.http.service import NUMERICS, TEXT, application, serving

OLD = ("text-embedding@1.0.0", "f" * 64)
MAPPED = Label("m@1", "4567", numerics=NUMERICS, adapted=OLD)


def test_an_answer_and_the_list_of_models_name_the_space_of_mapped_vectors(tmp_path: Path) -> None:
    service = application(tmp_path)
    version = service.embeddings.registry.versions["m@1"]
    question = {"model": "m@1", "input": TEXT}
    with serving(service.app) as client:
        own = client.post("/v1/embeddings", json=question)
        assert "x-model-adapted" not in own.headers
        assert client.get("/v1/models/m@1").json()["adapted"] is None
        assert version.info is not None
        version.info = replace(version.info, label=MAPPED)
        vector = np.eye(4, dtype=np.float32)[1]
        service.embeddings.cache.put(cache_key(MAPPED.identity, TEXT), Embedding(vector, 5, MAPPED))
        mapped = client.post("/v1/embeddings", json=question)
        assert mapped.headers["x-model-adapted"] == f"{OLD[0]}; hash={OLD[1]}"
        assert mapped.headers["x-model"] == "m@1"
        for path in ("/v1/models/m@1", "/v1/models/m"):
            assert client.get(path).json()["adapted"] == {"to": OLD[0], "hash": OLD[1]}


def test_a_label_keeps_the_space_on_its_way_from_the_encoder() -> None:
    from deployments.contract.reply import WrongArtifact

    assert unpack_reply(pack_reply(WrongArtifact(MAPPED))) == WrongArtifact(MAPPED)

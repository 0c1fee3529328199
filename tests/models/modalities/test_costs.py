"""What a gateway takes an input's work for is what an encoder counts it as, whatever length its model has."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.contract.embedding import Label
from deployments.contract.items import Item
from deployments.contract.model_info import ModelInfo
from deployments.gateway.model_version import ModelVersion
from models.catalog.artifact import Artifact
from models.inputs.token_ids import SPECIAL
from models.modalities.text import TextEmbedder

IDS = (1, 2, 3, 30, 254, 255, 256, 257, 510, 5000, 65_536)
ENGLISH = "a long walk along the shore in the evening light "


@pytest.fixture(scope="module", params=[3, 128, 256, 512, 8192], ids=lambda most: f"a model of {most} tokens")
def embedder(request: Any, text_artifact: Artifact) -> TextEmbedder:
    spec = text_artifact.spec
    config = {**spec.config, "max_sequence_length": request.param}
    return TextEmbedder(
        Artifact(spec.model_copy(update={"config": config}), text_artifact.graph, text_artifact.tokenizer, "h")
    )


@pytest.fixture
def version(embedder: TextEmbedder) -> ModelVersion:
    version = ModelVersion("m", "1", "text")
    version.info = ModelInfo(Label("m@1", "h"), "m", "text", 384, "fp32", "CPU", max_tokens=embedder.max_tokens)
    return version


def counted(embedder: TextEmbedder, item: Item) -> int:
    (row,) = embedder.preparation()([item])
    assert not isinstance(row, Exception)
    return embedder.cost(row)


@pytest.mark.parametrize("count", IDS)
def test_token_ids_cost_in_the_gateway_what_they_cost_in_the_encoder(
    embedder: TextEmbedder, version: ModelVersion, count: int
) -> None:
    assert version._cost((3899,) * count) == counted(embedder, (3899,) * count)
    with_ends = (101, *[3899] * count, 102)
    assert 0 <= version._cost(with_ends) - counted(embedder, with_ends) <= SPECIAL


@pytest.mark.parametrize("times", [1, 5, 20, 100, 1000])
def test_a_text_costs_in_the_gateway_about_what_it_costs_in_the_encoder(
    embedder: TextEmbedder, version: ModelVersion, times: int
) -> None:
    cost = version._cost(ENGLISH * times)
    assert cost == pytest.approx(counted(embedder, ENGLISH * times), rel=0.4)
    assert cost <= (embedder.max_tokens or 0)

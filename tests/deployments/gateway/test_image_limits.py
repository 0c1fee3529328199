"""The gateway refuses pictures by their headers; encoders are functions that count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deployments.config.gateway import GatewayConfig
from deployments.contract.embedding import Label
from deployments.contract.items import Item
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply
from deployments.gateway.batch import Batch
from deployments.gateway.embedding_service import EmbeddingService, EmbedRequest
from deployments.gateway.model_registry import ModelRegistry
from deployments.observability.gateway_metrics import GatewayMetrics
from models.errors import InputError, LimitError
from tests.faults.hostile.pictures import encoded, scene

SMALL, LARGE, GIF = encoded(scene(40, 30), "PNG"), encoded(scene(41, 30), "PNG"), encoded(scene(40, 30), "GIF")


class Gateway:
    """A gateway without HTTP and Ray; ``computed`` holds what its encoder was asked for."""

    def __init__(self) -> None:
        self.computed: list[Item] = []
        self.registry = ModelRegistry()
        self.configure({"image_pixels": 1200, "image_formats": ["PNG", "JPEG"]})
        version = self.registry.versions["m@1"]
        version.info = ModelInfo(Label("m@1", "h"), "m", "image", 2, "fp32", "CPU")
        version.queue._send = self.encode
        self.embeddings = EmbeddingService(self.registry, GatewayMetrics())
        self.embeddings.cache.configure(self.registry.config.cache)

    def configure(self, limits: dict[str, Any]) -> None:
        document = {"models": {"m": {"type": "image", "versions": {"1": 1}}}, "limits": limits}
        self.registry.configure(GatewayConfig.model_validate(document))

    async def encode(self, batch: Batch) -> EncodeReply:
        self.computed += batch.items
        return EncodeReply(Label("m@1", "h"), np.ones((len(batch.rows), 2), np.float32), [0] * len(batch.rows))

    async def embed(self, *items: Item) -> str:
        return (await self.embeddings.embed(EmbedRequest("m", items))).cache


async def test_a_picture_over_the_limit_reaches_no_encoder() -> None:
    gateway = Gateway()
    with pytest.raises(LimitError, match=r"^input\[1\]: image of 41×30 pixels exceeds the limit of 1200") as caught:
        await gateway.embed(SMALL, LARGE, SMALL)
    assert (caught.value.param, caught.value.code) == ("input[1]", "too_large")
    assert gateway.computed == []
    assert await gateway.embed(SMALL) == "miss"


@pytest.mark.parametrize("item", [GIF, b"no picture"], ids=["another format", "no picture"])
async def test_what_is_of_no_accepted_format_reaches_no_encoder(item: bytes) -> None:
    gateway = Gateway()
    with pytest.raises(InputError, match=r"^input: not a decodable image \(accepted: PNG, JPEG\)") as caught:
        await gateway.embed(item)
    assert (caught.value.param, caught.value.code) == ("input", "invalid_image")
    assert gateway.computed == []


async def test_a_changed_limit_counts_for_the_next_picture_and_not_for_a_vector_that_is_there() -> None:
    gateway = Gateway()
    await gateway.embed(SMALL)
    gateway.configure({"image_pixels": 100})
    assert await gateway.embed(SMALL) == "hit"
    gateway.configure({"image_pixels": 1230})
    assert await gateway.embed(LARGE) == "miss"
    assert gateway.computed == [SMALL, LARGE]

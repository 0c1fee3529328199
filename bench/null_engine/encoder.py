"""An encoder replica without Ray whose engine computes nothing and takes a card's time; it says where it takes calls."""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from deployments.apps.encoder import Encoder
from deployments.contract.embedding import Label
from deployments.encoder.batching import PreparedCall
from deployments.encoder.decoders import Decoders
from deployments.encoder.loaded import Loaded
from deployments.rpc.server import CALLS, HOST_VARIABLE, Endpoint
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.engine.session import EngineOptions
from models.engine.types import Vectors
from models.modalities.base import Row

REFERENCES = {"text": "text-embedding@1.0.0", "image": "image-embedding@1.0.0"}
PER_S = {"text": 150_000, "image": 25_000}  # that a card is to compute
NUMERICS = "null/fp32/none/none"
PREPARATION = "null"  # the name under which decoders know it
SLOTS = 512  # as the overlays for cards


class Decoded:
    """Gives every picture the same pixels: it was decoded before it came."""

    portable: ClassVar[bool] = True
    apart: ClassVar[bool] = False

    def __init__(self, size: int) -> None:
        """Pictures of ``size`` by ``size``."""
        self.shape = size, size, 3
        self._pixels = np.zeros(self.shape, np.uint8)

    def quick(self, _: Sequence[Any]) -> bool:
        """Whether it may run on the event loop."""
        return True

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        """For each picture its pixels."""
        return [self._pixels] * len(items)


async def serve(modality: str, decoder: Endpoint | None = None) -> None:
    """Take calls until this process ends; pictures are decoded here, or by a decoder."""
    os.environ[HOST_VARIABLE] = "127.0.0.1"
    reference = REFERENCES[modality]
    spec = Catalog.load().find(reference)
    artifact = pull(spec, allow_synthetic=True)
    embedder: Any = spec.modality.open(artifact, EngineOptions(lazy=True))
    vectors = np.zeros((65_536, spec.dimensions), np.float32)
    vectors[:, 0] = 1
    each_s = 1 / PER_S[modality]

    def embed_rows(rows: Sequence[Row]) -> Vectors:
        time.sleep(len(rows) * each_s)
        return vectors[: len(rows)]

    embedder.embed_rows = embed_rows
    prepare = Decoded(224) if modality == "image" else embedder.preparation()
    label = Label(reference, artifact.hash, False, NUMERICS)
    encoder: Any = Encoder.func_or_class(reference, "development")  # type: ignore[attr-defined]
    encoder._slot._loaded = Loaded(embedder, label, prepare)
    if decoder is not None:
        encoder._decoders = await _connected(decoder, prepare)
    batcher = encoder._batcher

    async def embed(call: PreparedCall) -> Vectors:
        """In place of ``@serve.batch``, which needs Serve: calls here are as large as batches."""
        return (await batcher.run([call]))[0]  # type: ignore[no-any-return]

    batcher.embed = embed
    encoder._rpc._most_calls = lambda: CALLS
    print(json.dumps({"endpoint": await encoder._rpc.start(), "hash": artifact.hash}), flush=True)
    await asyncio.Event().wait()


async def _connected(endpoint: Endpoint, prepare: Decoded) -> Decoders:
    """One decoder, called directly and given slots."""
    decoders: Any = Decoders(None)
    decoders.share(SLOTS, prepare)
    decoders._preparation = PREPARATION, prepare
    decoders._search.told = decoders._preparation
    decoders._search.endpoints = {"null": endpoint}
    decoders._search._looked_at = math.inf  # there is no Serve to ask
    while not decoders._pool.some(decoders._search.endpoints):  # noqa: ASYNC110 - connections tell nobody
        await asyncio.sleep(0.01)
    return decoders  # type: ignore[no-any-return]

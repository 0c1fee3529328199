from __future__ import annotations

import numpy as np

from deployments.contract.embedding import Embedding, Label
from deployments.gateway.cache.key import cache_key
from deployments.gateway.cache.memory import OVERHEAD, MemoryCache

LABEL = Label("m@1", "h")


def embedding(value: float) -> Embedding:
    return Embedding(np.full(4, value, np.float32), 1, LABEL)


def test_a_key_differs_by_artifact_input_and_kind_of_input() -> None:
    keys = {
        cache_key("h1", "12"),
        cache_key("h2", "12"),
        cache_key("h1", "13"),
        cache_key("h1", b"12"),
        cache_key("h2", b"12"),
        cache_key("h1", b"13"),
        cache_key("h1", bytes(100_000)),
        cache_key("h1", bytes(99_999) + b"1"),
        cache_key("h1", (12,)),
        cache_key("h1", (1, 2)),
    }
    assert len(keys) == 10
    assert {len(key) for key in keys} == {32}
    assert cache_key("h1", bytes(100_000)) in keys


def test_the_limit_in_bytes_evicts_what_was_unused_longest() -> None:
    cache = MemoryCache(2 * (16 + OVERHEAD))
    cache.put(b"a", embedding(1))
    cache.put(b"b", embedding(2))
    assert cache.get(b"a") is not None
    cache.put(b"c", embedding(3))
    assert cache.get(b"b") is None
    assert cache.get(b"a") is not None
    assert cache.used_bytes <= cache.limit_bytes


def test_an_embedding_does_not_keep_its_batch_alive() -> None:
    batch = np.zeros((64, 4), np.float32)
    cache = MemoryCache(10_000)
    cache.put(b"a", Embedding(batch[3], 1, LABEL))
    kept = cache.get(b"a")
    assert kept is not None
    assert kept.vector.base is None


def test_vectors_of_one_artifact_share_one_label() -> None:
    cache = MemoryCache(10_000)
    cache.put(b"a", Embedding(np.zeros(4, np.float32), 1, Label("m@1", "h")))
    cache.put(b"b", Embedding(np.zeros(4, np.float32), 1, Label("m@1", "h")))
    first, second = cache.get(b"a"), cache.get(b"b")
    assert first is not None
    assert second is not None
    assert first.label is second.label


def test_a_smaller_limit_evicts_at_once() -> None:
    cache = MemoryCache(10_000)
    cache.put(b"a", embedding(1))
    cache.put(b"b", embedding(2))
    cache.resize(16 + OVERHEAD)
    assert (cache.get(b"a"), cache.used_bytes) == (None, 16 + OVERHEAD)


def test_a_limit_of_zero_keeps_nothing() -> None:
    cache = MemoryCache(0)
    cache.put(b"a", embedding(1))
    assert len(cache) == 0

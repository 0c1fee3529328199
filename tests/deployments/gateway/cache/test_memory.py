from __future__ import annotations

import numpy as np

from deployments.gateway.cache.memory import OVERHEAD, Entry, MemoryCache, cache_key


def entry(value: float) -> Entry:
    return Entry(np.full(4, value, np.float32), 1)


def test_a_key_differs_by_artifact_input_and_kind_of_input() -> None:
    keys = {
        cache_key("h1", "12"),
        cache_key("h2", "12"),
        cache_key("h1", "13"),
        cache_key("h1", b"12"),
        cache_key("h1", (12,)),
        cache_key("h1", (1, 2)),
    }
    assert len(keys) == 6


def test_the_limit_in_bytes_evicts_what_was_unused_longest() -> None:
    cache = MemoryCache(2 * (16 + OVERHEAD))
    cache.put(b"a", entry(1))
    cache.put(b"b", entry(2))
    assert cache.get(b"a") is not None
    cache.put(b"c", entry(3))
    assert cache.get(b"b") is None
    assert cache.get(b"a") is not None
    assert cache.used_bytes <= cache.limit_bytes


def test_an_entry_does_not_keep_its_batch_alive() -> None:
    batch = np.zeros((64, 4), np.float32)
    cache = MemoryCache(10_000)
    cache.put(b"a", Entry(batch[3], 1))
    kept = cache.get(b"a")
    assert kept is not None
    assert kept.vector.base is None


def test_a_limit_of_zero_keeps_nothing() -> None:
    cache = MemoryCache(0)
    cache.put(b"a", entry(1))
    assert len(cache) == 0

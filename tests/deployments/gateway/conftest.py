from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.redis_server import RedisServer, redis_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A Redis of a test's own, at which the environment variable of the configuration points."""
    with redis_server() as running:
        monkeypatch.setenv("EMBEDSERVE_CACHE_URL", running.url)
        yield running

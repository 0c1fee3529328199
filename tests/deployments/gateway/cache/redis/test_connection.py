from __future__ import annotations

import pytest

from deployments.gateway.cache.redis.connection import connect, server_name
from models.errors import ConfigError

URL = "redis://someone:secret@cache.example:6380/2"


@pytest.mark.parametrize("url", ["redis://:secret@host:port", "redis://:secret@host:99999999"])
def test_a_malformed_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match="malformed") as caught:
        connect(url, 1)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "name"),
    [(URL, "cache.example:6380"), ("unix:///run/cache?password=secret", "/run/cache"), ("redis://", "localhost:6379")],
)
def test_the_log_names_the_server_without_credentials(url: str, name: str) -> None:
    assert server_name(connect(url, 1)) == name

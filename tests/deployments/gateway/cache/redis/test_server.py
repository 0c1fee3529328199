from __future__ import annotations

from pathlib import Path

import pytest

from deployments.config.base import parse
from deployments.config.cache import SharedCacheConfig
from deployments.gateway.cache.redis import server
from models.errors import ConfigError

URL = "redis://someone:secret@cache.example:6380/2"
FROM_ENV = SharedCacheConfig(url_env="CACHE_URL")


def test_the_address_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    assert server.address(FROM_ENV, {"CACHE_URL": URL}) == URL
    (tmp_path / "url").write_text(f"{URL}\n")
    assert server.address(SharedCacheConfig(url_file=str(tmp_path / "url")), {}) == URL


@pytest.mark.parametrize("value", ["", "  ", "secret:6379", "http://secret", "redis//:secret"])
def test_a_wrong_address_names_where_it_stands_and_not_what_it_is(value: str) -> None:
    with pytest.raises(ConfigError, match=r"cache\.shared\.url_env: the environment variable CACHE_URL") as caught:
        server.address(FROM_ENV, {"CACHE_URL": value})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://:secret@host:port", "redis://:secret@host:99999999"])
def test_a_malformed_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match="malformed") as caught:
        server.client(url, 1)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"url_file: the file .*nowhere"):
        server.address(SharedCacheConfig(url_file=str(tmp_path / "nowhere")), {})


@pytest.mark.parametrize(
    ("url", "name"),
    [(URL, "cache.example:6380"), ("unix:///run/cache?password=secret", "/run/cache"), ("redis://", "localhost:6379")],
)
def test_the_log_names_the_server_without_credentials(url: str, name: str) -> None:
    assert server.name(server.client(url, 1)) == name


@pytest.mark.parametrize("shared", [{}, {"url_env": "A", "url_file": "b"}], ids=["neither", "both"])
def test_exactly_one_place_of_the_url_is_configured(shared: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="exactly one of url_env and url_file"):
        parse(SharedCacheConfig, shared, "cache.shared")

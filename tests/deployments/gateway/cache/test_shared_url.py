from __future__ import annotations

from pathlib import Path

import pytest

from deployments.config.base import parse
from deployments.config.cache import SharedCacheConfig
from deployments.gateway.cache.shared_cache import BACKENDS
from deployments.gateway.cache.shared_url import shared_url
from models.errors import ConfigError

URL = "redis://someone:secret@cache.example:6380/2"
FROM_ENV = SharedCacheConfig(url_env="CACHE_URL")


def test_the_address_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    assert shared_url(FROM_ENV, BACKENDS, {"CACHE_URL": URL}) == URL
    (tmp_path / "url").write_text(f"{URL}\n")
    assert shared_url(SharedCacheConfig(url_file=str(tmp_path / "url")), BACKENDS, {}) == URL


@pytest.mark.parametrize("value", ["", "  ", "secret:6379", "http://secret", "redis//:secret"])
def test_a_wrong_address_names_where_it_stands_and_not_what_it_is(value: str) -> None:
    with pytest.raises(ConfigError, match=r"cache\.shared\.url_env: the environment variable CACHE_URL") as caught:
        shared_url(FROM_ENV, BACKENDS, {"CACHE_URL": value})
    assert "secret" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"url_file: the file .*nowhere"):
        shared_url(SharedCacheConfig(url_file=str(tmp_path / "nowhere")), BACKENDS, {})


@pytest.mark.parametrize("shared", [{}, {"url_env": "A", "url_file": "b"}], ids=["neither", "both"])
def test_exactly_one_place_of_the_url_is_configured(shared: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="exactly one of url_env and url_file"):
        parse(SharedCacheConfig, shared, "cache.shared")

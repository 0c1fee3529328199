"""A URL with a password that stands at a wrong place of the configuration is not repeated in the message."""

from __future__ import annotations

import pytest

from deployments.config.base import Strict, parse
from deployments.config.cache import SharedCacheConfig
from models.errors import ConfigError
from tests.deployments.config.test_readers import schemas

URL = "redis://user:hunter2@example.org:6379/0"
PLACES = [(schema, name) for schema in schemas() for name in (*schema.model_fields, "unknown")]


@pytest.mark.parametrize(("schema", "name"), PLACES, ids=[f"{schema.__name__}.{name}" for schema, name in PLACES])
@pytest.mark.parametrize("value", [URL, [URL], {"url": URL}], ids=["text", "list", "mapping"])
def test_a_password_is_not_repeated_where_it_stands_at(schema: type[Strict], name: str, value: object) -> None:
    said = ""
    try:
        parse(schema, {name: value}, "the configuration")
    except ConfigError as error:
        said = str(error)
    assert "hunter2" not in said


@pytest.mark.parametrize("key", ["url_env", "url_file"])
def test_the_url_of_the_shared_cache_is_not_taken_for_the_place_where_it_stands(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(SharedCacheConfig, {key: URL}, "the configuration")
    assert f"{key}: " in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_password_under_a_name_of_its_own_is_not_repeated() -> None:
    with pytest.raises(ConfigError, match="unknown key 'password'; allowed: timeout_ms") as caught:
        parse(SharedCacheConfig, {"url_env": "CACHE_URL", "password": "hunter2"}, "the configuration")
    assert "hunter2" not in str(caught.value)

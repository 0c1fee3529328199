from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.auth.api_keys import ApiKey, hash_of, new_key
from deployments.auth.key_file import MOST, changing, load_keys, parse_keys, read_keys
from models.errors import ConfigError

SECRET = "es_this-is-a-key-that-somebody-put-in-the-wrong-place"
GOOD = {"name": "shop", "sha256": "0" * 64, "scopes": ["embed"]}


def test_keys_are_long_random_and_never_equal() -> None:
    keys = {new_key("a", ("embed",))[0] for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("es_") and len(key) == 46 for key in keys)


def test_a_file_holds_the_hash_and_not_the_key(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    key, entry = new_key("shop", ("embed", "admin"), datetime(2100, 1, 1, tzinfo=UTC))
    with changing(path) as keys:
        keys.append(entry)
    assert key.removeprefix("es_") not in path.read_text()
    assert load_keys(path).keys == (entry,)
    assert entry.sha256 == hash_of(key)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_without_time_never_expires_and_one_with_time_does_at_that_second() -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    key = new_key("a", ("embed",), moment)[1]
    assert not key.expired(moment.timestamp() - 1)
    assert key.expired(moment.timestamp())
    assert not new_key("a", ("embed",))[1].expired(1e12)


MISTAKES: list[tuple[str, Any, str]] = [
    ("a key in place of its hash", {"keys": [{**GOOD, "sha256": SECRET}]}, "keys.0.sha256"),
    ("a key as a field", {"keys": [{**GOOD, SECRET: "shop"}]}, "unknown key; allowed: name, sha256"),
    ("a key at the top", {SECRET: "shop"}, "unknown key; allowed: keys"),
    ("a key as the whole list", {"keys": SECRET}, "keys: "),
    ("a key as the document", SECRET, "the document"),
    ("a key as name", {"keys": [{**GOOD, "name": f"{SECRET} !"}]}, "keys.0.name"),
    ("a key as scope", {"keys": [{**GOOD, "scopes": [SECRET]}]}, "'embed' or 'admin'"),
    ("no scope", {"keys": [{**GOOD, "scopes": []}]}, "keys.0.scopes"),
    ("an end without a zone", {"keys": [{**GOOD, "expires": "2030-01-01T00:00:00"}]}, "timezone"),
    ("two keys of one name", {"keys": [GOOD, {**GOOD, "sha256": "1" * 64}]}, "same name"),
    ("one key under two names", {"keys": [GOOD, {**GOOD, "name": "b"}]}, "same sha256"),
    ("too many keys", {"keys": [{**GOOD, "name": f"k{i}", "sha256": f"{i:064x}"} for i in range(MOST + 1)]}, "1000"),
]


@pytest.mark.parametrize(("document", "says"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_a_mistake_is_named_and_no_value_is_repeated(document: Any, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_keys(document, "the file")
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("text", [f"keys: [{SECRET}", f"{SECRET}: : x", f"- {SECRET}\n\t- x"])
def test_text_that_is_no_yaml_is_refused_by_its_line_alone(text: str) -> None:
    with pytest.raises(ConfigError, match="no YAML at line") as caught:
        read_keys(text, "the file")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "keys: []"])
def test_an_empty_file_has_no_keys(text: str) -> None:
    assert read_keys(text, "the file").keys == ()


def test_yaml_dates_without_quotes_are_taken() -> None:
    text = f"keys: [{{name: a, sha256: '{'0' * 64}', scopes: [embed], expires: 2030-01-01T00:00:00Z}}]"
    assert read_keys(text, "the file").keys[0].expires == datetime(2030, 1, 1, tzinfo=UTC)


def test_changes_at_once_lose_none(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "keys"

    def add(i: int) -> None:
        with changing(path) as keys:
            keys.append(ApiKey(name=f"k{i}", sha256=f"{i:064x}", scopes=("embed",)))

    threads = [threading.Thread(target=add, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.name for key in load_keys(path).keys} == {f"k{i}" for i in range(20)}


def test_a_change_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    with changing(path) as keys:
        keys.append(new_key("a", ("embed",))[1])
    before = path.read_text()
    with pytest.raises(ConfigError, match="same name"), changing(path) as keys:
        keys.append(new_key("a", ("embed",), datetime.now(UTC) + timedelta(days=1))[1])
    assert path.read_text() == before


def test_a_file_that_is_not_there_or_no_text_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the key file"):
        load_keys(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="no UTF-8"):
        load_keys(tmp_path / "binary")

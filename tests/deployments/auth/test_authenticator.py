from __future__ import annotations

import contextlib
import logging
import os
import resource
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployments.auth.api_keys import ApiKey, new_key
from deployments.auth.authenticator import Authenticator
from deployments.auth.key_file import changing
from deployments.observability.logging import logger
from models.errors import AuthenticationError, ConfigError, ForbiddenError, UnavailableError


def store(path: Path, *entries: ApiKey) -> None:
    with changing(path) as keys:
        keys[:] = entries


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def auth_of(path: Path, profile: str = "production") -> Authenticator:
    auth = Authenticator(profile, {"EMBEDSERVE_API_KEYS_FILE": str(path)})  # type: ignore[arg-type]
    auth.configure("keys")
    return auth


def accepted(auth: Authenticator, key: str, needed: str = "embed", now: float = 0) -> bool:
    try:
        auth.authenticate([f"Bearer {key}"], needed, now)  # type: ignore[arg-type]
    except ForbiddenError:
        return False
    return True


def test_a_known_key_is_named_and_any_other_is_refused(path: Path) -> None:
    (key, entry), (other, _) = new_key("shop", ("embed",)), new_key("b", ("embed",))
    store(path, new_key("c", ("admin",))[1], entry, new_key("d", ("embed",))[1])
    auth = auth_of(path)
    assert auth.authenticate([f"Bearer {key}"], "embed") == "shop"
    for wrong in (other, key[:-1], key + "x", key.upper(), entry.sha256, "x", "é\udcff"):
        with pytest.raises(ForbiddenError) as caught:
            auth.authenticate([f"Bearer {wrong}"], "embed")
        assert caught.value.code == "invalid_api_key"
        assert wrong not in str(caught.value) or wrong == "x"


@pytest.mark.parametrize(
    "headers",
    [[], [""], ["Bearer"], ["Bearer "], ["Basic {key}"], ["{key}"], ["Token {key}"], ["Bearer {key}", "Bearer {key}"]],
    ids=["none", "empty", "no key", "blank", "another scheme", "no scheme", "unknown scheme", "two headers"],
)
def test_no_key_is_another_error_than_a_wrong_one(path: Path, headers: list[str]) -> None:
    key, entry = new_key("shop", ("embed",))
    store(path, entry)
    with pytest.raises(AuthenticationError, match="Authorization: Bearer"):
        auth_of(path).authenticate([header.format(key=key) for header in headers], "embed")


def test_the_scheme_is_written_in_any_case(path: Path) -> None:
    key, entry = new_key("shop", ("embed",))
    store(path, entry)
    assert auth_of(path).authenticate([f"bEARER   {key} "], "embed") == "shop"


@pytest.mark.parametrize(
    ("scopes", "needed", "allowed"),
    [
        (("embed",), "embed", True),
        (("embed",), "admin", False),
        (("embed",), "any", True),
        (("admin",), "embed", False),
        (("admin",), "admin", True),
        (("admin",), "any", True),
        (("embed", "admin"), "embed", True),
        (("embed", "admin"), "admin", True),
    ],
    ids=lambda value: " and ".join(value) if isinstance(value, tuple) else None,
)
def test_a_scope_allows_what_it_names(path: Path, scopes: tuple[str, ...], needed: str, allowed: bool) -> None:
    key, entry = new_key("a", scopes)  # type: ignore[arg-type]
    store(path, entry)
    assert accepted(auth_of(path), key, needed) == allowed


def test_a_key_is_refused_from_its_end_on(path: Path) -> None:
    end = datetime(2030, 1, 1, tzinfo=UTC)
    key, entry = new_key("a", ("embed",), end)
    store(path, entry)
    auth = auth_of(path)
    assert auth.authenticate([f"Bearer {key}"], "embed", end.timestamp() - 0.1) == "a"
    with pytest.raises(ForbiddenError, match="expired"):
        auth.authenticate([f"Bearer {key}"], "embed", end.timestamp())


def test_the_next_key_to_expire_is_known_and_those_without_an_end_or_past_it_do_not_count(path: Path) -> None:
    early, late = datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
    store(path, *(new_key(f"k{i}", ("embed",), end)[1] for i, end in enumerate([None, late, early])))
    auth = auth_of(path)
    assert auth.next_expiry(early.timestamp() - 1) == early.timestamp()
    assert auth.next_expiry(early.timestamp()) == late.timestamp()
    assert auth.next_expiry(late.timestamp()) == 0


def test_keys_come_and_go_with_the_file(path: Path) -> None:
    (first, one), (second, two) = new_key("one", ("embed",)), new_key("two", ("embed",))
    store(path, one)
    auth = auth_of(path)
    assert [accepted(auth, key) for key in (first, second)] == [True, False]
    store(path, one, two)
    auth.refresh()
    assert [accepted(auth, key) for key in (first, second)] == [True, True]
    store(path, two)
    auth.refresh()
    assert [accepted(auth, key) for key in (first, second)] == [False, True]
    store(path)
    auth.refresh()
    assert [accepted(auth, key) for key in (first, second)] == [False, False]
    assert auth.required


def test_a_secret_that_kubernetes_replaces_by_a_link_is_read_again(tmp_path: Path) -> None:
    (first, one), (second, two) = new_key("one", ("embed",)), new_key("two", ("embed",))
    store(tmp_path / "v1" / "keys", one)
    store(tmp_path / "v2" / "keys", two)
    (tmp_path / "..data").symlink_to("v1")
    (tmp_path / "keys").symlink_to("..data/keys")
    auth = auth_of(tmp_path / "keys")
    (tmp_path / "new").symlink_to("v2")
    os.replace(tmp_path / "new", tmp_path / "..data")
    auth.refresh()
    assert [accepted(auth, key) for key in (first, second)] == [False, True]


@pytest.mark.parametrize("broken", ["keys: [", "keys: [{name: a}]", "\x00", None], ids=["yaml", "field", "nul", "gone"])
def test_a_broken_file_keeps_the_old_keys_is_logged_once_and_heals(
    path: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    (first, one), (second, two) = new_key("one", ("embed",)), new_key("two", ("embed",))
    store(path, one)
    auth = auth_of(path)
    path.unlink() if broken is None else path.write_text(broken)
    with caplog.at_level(logging.ERROR, logger.name):
        for _ in range(3):
            auth.refresh()
    assert len([r for r in caplog.records if "stay as they were" in r.getMessage()]) == 1
    assert accepted(auth, first)
    path.unlink(missing_ok=True)
    store(path, one, two)
    auth.refresh()
    assert accepted(auth, second)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextlib.contextmanager
def no_file_opens() -> Iterator[None]:
    """With the open files of this process at their limit, as in a gateway that strangers exhaust."""
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, old)


def watched(path: Path, clock: Clock, grace_s: float = 60) -> Authenticator:
    auth = Authenticator("production", {"EMBEDSERVE_API_KEYS_FILE": str(path)}, clock)
    auth.configure("keys", grace_s)
    return auth


def test_a_file_that_could_not_be_read_once_is_read_again_although_it_did_not_change(path: Path) -> None:
    (first, one), (second, two) = new_key("one", ("embed",)), new_key("two", ("embed",))
    store(path, one, two)
    auth = auth_of(path)
    store(path, two)
    with no_file_opens():
        auth.refresh()
        assert accepted(auth, first), "nobody knows yet that it was revoked"
    auth.refresh()
    assert [accepted(auth, key) for key in (first, second)] == [False, True]


def test_a_change_that_leaves_time_size_and_inode_as_they_were_is_seen(path: Path) -> None:
    (first, one), (second, two) = new_key("one", ("embed",)), new_key("two", ("embed",))
    store(path, one)
    auth, before = auth_of(path), path.stat()
    path.write_text(path.read_text().replace("one", "two").replace(one.sha256, two.sha256))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_ino, path.stat().st_size) == (before.st_ino, before.st_size)
    auth.refresh()
    assert [accepted(auth, key) for key in (first, second)] == [False, True]


def test_keys_of_a_file_that_stays_unreadable_count_for_a_bounded_time_and_then_none_does(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key, entry = new_key("one", ("embed",))
    store(path, entry)
    clock = Clock()
    auth, whole = watched(path, clock), path.read_text()
    path.write_text("keys: [")
    for _ in range(6):
        auth.refresh()
        assert accepted(auth, key)
        assert not auth.refuses_all
        clock.now += 10
    clock.now += 1
    with caplog.at_level(logging.ERROR, logger.name):
        for _ in range(3):
            with pytest.raises(UnavailableError, match="cannot be checked"):
                auth.authenticate([f"Bearer {key}"], "embed")
    assert caplog.text.count("no API key is accepted any more") == 1
    assert (auth.refuses_all, auth.age_s) == (True, 61)
    with pytest.raises(AuthenticationError):
        auth.authenticate([], "embed")
    path.write_text(whole)
    auth.refresh()
    assert (accepted(auth, key), auth.refuses_all, auth.age_s) == (True, False, 0)


@pytest.mark.parametrize("why", ["nobody looks", "a look hangs"])
def test_keys_age_where_no_look_comes_back(path: Path, why: str) -> None:
    key, entry = new_key("one", ("embed",))
    store(path, entry)
    clock = Clock()
    auth, whole = watched(path, clock), path.read_bytes()
    looking = threading.Thread(target=auth.refresh)
    if why == "a look hangs":
        path.unlink()
        os.mkfifo(path)
        looking.start()
    clock.now += 61
    with pytest.raises(UnavailableError):
        auth.authenticate([f"Bearer {key}"], "embed")
    if why == "a look hangs":
        path.write_bytes(whole)
        looking.join(10)
        assert (looking.is_alive(), auth.age_s) == (False, 61), "what was read is as old as when the look began"


@pytest.mark.parametrize("value", ["", " "], ids=["empty", "blank"])
@pytest.mark.parametrize("variable", ["EMBEDSERVE_API_KEYS_FILE", "EMBEDSERVE_API_KEYS"])
def test_a_variable_that_was_to_hold_keys_and_is_empty_opens_nothing(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{variable} is set and empty"):
        Authenticator("development", {variable: value})


def test_keys_may_stand_in_the_environment(path: Path) -> None:
    key, entry = new_key("a", ("embed",))
    store(path, entry)
    auth = Authenticator("production", {"EMBEDSERVE_API_KEYS": path.read_text()})
    auth.configure("keys")
    auth.refresh()
    assert auth.required
    assert accepted(auth, key)


def test_production_without_keys_does_not_start_and_says_what_would_do(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"EMBEDSERVE_API_KEYS_FILE.*`auth: none`"):
        Authenticator("production", {}).configure("keys")
    store(path)
    with pytest.raises(ConfigError, match="has none"):
        auth_of(path)


def test_production_serves_without_keys_when_told_so(caplog: pytest.LogCaptureFixture) -> None:
    auth = Authenticator("production", {})
    with caplog.at_level(logging.WARNING, logger.name):
        auth.configure("none")
    assert not auth.required
    assert "whoever reaches" in caplog.text


def test_development_asks_for_keys_only_where_there_are_some(path: Path) -> None:
    auth = Authenticator("development", {})
    auth.configure("keys")
    assert not auth.required
    store(path, new_key("a", ("embed",))[1])
    assert auth_of(path, "development").required


@pytest.mark.parametrize("profile", ["development", "production"])
@pytest.mark.parametrize("content", [None, "keys: ["], ids=["missing", "broken"])
def test_a_key_file_that_cannot_be_read_never_opens_the_service(path: Path, profile: str, content: str | None) -> None:
    if content:
        path.write_text(content)
    with pytest.raises(ConfigError, match="key file"):
        auth_of(path, profile)


def test_a_file_and_keys_in_the_environment_at_once_are_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="set one"):
        Authenticator("development", {"EMBEDSERVE_API_KEYS": "keys: []", "EMBEDSERVE_API_KEYS_FILE": str(path)})


def test_what_is_logged_of_keys_is_their_names(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key, entry = new_key("shop", ("embed",))
    store(path)
    auth = auth_of(path, "development")
    store(path, entry)
    with caplog.at_level(logging.DEBUG):
        auth.refresh()
    assert "shop" in caplog.text
    assert entry.sha256 not in caplog.text
    assert key not in caplog.text

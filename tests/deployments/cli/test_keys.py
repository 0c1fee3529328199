from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deployments.auth.authenticator import Authenticator
from deployments.auth.key_file import changing, load_keys
from deployments.cli.main import app
from models.errors import ConfigError


def run(path: Path, *words: str) -> Result:
    result = CliRunner().invoke(app, ["keys", *words], env={"EMBEDSERVE_API_KEYS_FILE": str(path), "COLUMNS": "120"})
    if isinstance(result.exception, ConfigError):
        raise result.exception
    return result


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_create_prints_a_key_that_works_and_nothing_else_on_stdout(path: Path) -> None:
    result = run(path, "create", "shop", "--scope", "embed")
    auth = Authenticator("production", {"EMBEDSERVE_API_KEYS_FILE": str(path)})
    assert auth.authenticate([f"Bearer {result.stdout.strip()}"], "embed") == "shop"
    assert len(result.stdout.splitlines()) == 1
    assert "nobody can show the key again" in " ".join(result.stderr.split())


def test_scopes_and_an_end_are_kept(path: Path) -> None:
    run(path, "create", "ops", "--scope", "admin", "--scope", "embed", "--expires", "90d")
    (key,) = load_keys(path).keys
    assert key.scopes == ("embed", "admin")
    assert key.expires is not None
    assert key.created is not None
    assert (key.expires - key.created).days == 90


def test_list_shows_names_and_never_a_hash(path: Path) -> None:
    run(path, "create", "shop", "--scope", "embed")
    run(path, "create", "ops", "--scope", "admin", "--expires", "2999-01-01")
    shown = run(path, "list").stdout
    assert [line.split()[0] for line in shown.splitlines() if "embed" in line or "admin" in line] == ["shop", "ops"]
    assert "2999-01-01" in shown
    assert all(key.sha256[:12] not in shown for key in load_keys(path).keys)


def test_revoke_takes_one_key_away(path: Path) -> None:
    for name in ("a", "b"):
        run(path, "create", name, "--scope", "embed")
    run(path, "revoke", "a")
    assert [key.name for key in load_keys(path).keys] == ["b"]


MISTAKES = [
    ("a taken name", ("create", "taken", "--scope", "embed"), "already.*revoke taken"),
    ("an unknown scope", ("create", "a", "--scope", "root"), "embed or admin"),
    ("a bad name", ("create", "two words", "--scope", "embed"), "name"),
    ("an end that is none", ("create", "a", "--scope", "embed", "--expires", "soon"), "90d, 12h"),
    ("an end in the past", ("create", "a", "--scope", "embed", "--expires", "2001-01-01"), "over already"),
    ("an unknown name", ("revoke", "nobody"), "it has: taken"),
]


@pytest.mark.parametrize(("words", "says"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_a_mistake_is_one_clear_error_and_changes_nothing(path: Path, words: tuple[str, ...], says: str) -> None:
    run(path, "create", "taken", "--scope", "embed")
    before = path.read_text()
    with pytest.raises(ConfigError, match=says):
        run(path, *words)
    assert path.read_text() == before


def test_without_a_file_the_command_asks_which() -> None:
    result = CliRunner().invoke(app, ["keys", "list"], env={"EMBEDSERVE_API_KEYS_FILE": ""})
    assert isinstance(result.exception, ConfigError)
    assert "--file" in str(result.exception)


def test_comments_that_people_wrote_into_the_file_stay(path: Path) -> None:
    for name in ("a", "b"):
        run(path, "create", name, "--scope", "embed")
    path.write_text(path.read_text().replace("- name: b", "# the shop's second client\n- name: b"))
    run(path, "create", "c", "--scope", "embed")
    run(path, "revoke", "a")
    assert [key.name for key in load_keys(path).keys] == ["b", "c"]
    assert "# the shop's second client\n- name: b" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("words", [("create", "c", "--scope", "embed"), ("revoke", "a")], ids=lambda words: words[0])
def test_a_change_leaves_link_owner_and_permissions_as_they_are(tmp_path: Path, words: tuple[str, ...]) -> None:
    real = tmp_path / "secret" / "keys"
    run(real, "create", "a", "--scope", "embed")
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 65534, 65534)
    link = tmp_path / "keys"
    link.symlink_to(real)
    before = real.stat()
    run(link, *words)
    after = real.stat()
    assert link.is_symlink()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert after.st_ino != before.st_ino, "it was replaced as a whole"


def test_an_edit_by_hand_in_the_same_moment_is_not_lost(path: Path) -> None:
    run(path, "create", "a", "--scope", "embed")
    theirs = path.read_text() + "# by hand\n"

    def edit() -> None:
        with changing(path) as keys:
            path.write_text(theirs)
            keys.clear()

    with pytest.raises(ConfigError, match="changed by somebody else"):
        edit()
    assert path.read_text() == theirs

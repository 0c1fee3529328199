"""Messages show neither passwords nor keys, and those for everybody no folders."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.auth.api_keys import new_key
from deployments.observability.logging import logger
from models.redaction import LONGEST, for_everybody, redacted, without_secrets

# What may stand in a word of a message; a quote or a space ends the word.
PASSWORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"], exclude_characters="'\"<>"), min_size=6)


@given(PASSWORDS, st.sampled_from(["redis", "rediss", "https", "postgresql+psycopg"]), st.sampled_from(["", "user"]))
def test_whatever_a_password_looks_like_it_is_not_shown(password: str, scheme: str, user: str) -> None:
    said = redacted(f"cannot reach '{scheme}://{user}:{password}@example.org:1234/0', try again")
    assert said == f"cannot reach '{scheme}://***@example.org:1234/0', try again"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://h/0?password=hunter2&db=1", "redis://h/0?password=***&db=1"),
        ("https://h/a?X-Amz-Signature=abc#top", "https://h/a?X-Amz-Signature=***#top"),
        ("two: http://a:b@c/ and http://d:e@f/", "two: http://***@c/ and http://***@f/"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer ***"),
        ("http://127.0.0.1:8000/health/ready is plain", "http://127.0.0.1:8000/health/ready is plain"),
        ("someone@example.org wrote", "someone@example.org wrote"),
        ("text-embedding@1.0.0 is not served", "text-embedding@1.0.0 is not served"),
    ],
)
def test_what_is_hidden_and_what_stays(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_our_own_keys_and_secrets_that_are_known_are_hidden_wherever_they_stand() -> None:
    key, _ = new_key("shop", ("embed",))
    assert redacted(f"got {key}, and hunter2", "hunter2", None, "") == "got es_***, and ***"


def test_no_line_of_the_log_shows_a_password_not_even_in_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    url = "redis://user:hunter2@h"
    try:
        raise ValueError(url)
    except ValueError:
        logger.exception("cannot use %s", url)
    formatted = [logging.Formatter().format(record) for record in caplog.records]
    assert "redis://***@h" in caplog.text
    assert "Traceback" in formatted[0]
    assert "hunter2" not in caplog.text + formatted[0]


def test_what_stands_under_the_name_of_a_secret_is_hidden_at_every_depth() -> None:
    document = {"host": "h", "auth": [{"password": "hunter2", "api_key": "k"}], "access_token": ["a", "b"]}
    assert without_secrets("", document) == {
        "host": "h",
        "auth": [{"password": "***", "api_key": "***"}],
        "access_token": ["***", "***"],
    }


FOLDERS = ["/srv/models/store", "/home/my user/store", "/a", "/tmp/x.y/../z"]


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize(
    "message",
    [
        "model file {} does not exist; run `embedserve models pull m@1`",
        "[Errno 13] Permission denied: '{}'",
        "({}): bad",
    ],
)
def test_everybody_sees_the_names_of_files_and_no_folder(folder: str, message: str) -> None:
    said = for_everybody(ValueError(message.format(f"{folder}/m-1.onnx")), [Path(folder)])
    assert "m-1.onnx" in said
    assert not any(part and f"{part}/" in said for part in folder.split("/"))


@pytest.mark.parametrize(
    "message", ["cannot read {}", "cannot read '{}': gone", '"{}" is missing', "({}): bad", "{}: bad", "a, {}, b"]
)
def test_everybody_sees_no_folder_that_nobody_named_either(message: str) -> None:
    said = for_everybody(
        ValueError(message.format("/srv/models of/ours/m-1.onnx" if "'" in message else "/srv/ours/m-1.onnx"))
    )
    assert "m-1.onnx" in said
    assert "ours" not in said
    assert "srv" not in said


def test_everybody_sees_one_short_line() -> None:
    error = ValueError("no source gave m@1; tried:\n  - folder /srv/models: gone\n" + "x" * 9999)
    assert for_everybody(error) == "no source gave m@1; tried:"
    assert len(for_everybody("y" * 9999)) == LONGEST
    assert for_everybody(ValueError()) == "ValueError"


@pytest.mark.parametrize("part", ["://", "a://", "@", "/a", "?token=", "'", "/a/", "Bearer ", "es_"])
def test_a_long_text_costs_time_in_proportion_to_its_length(part: str) -> None:
    def cost(count: int) -> float:
        began = time.process_time()
        for_everybody(part * count)
        return time.process_time() - began

    small = min(cost(2_000) for _ in range(3))
    assert min(cost(20_000) for _ in range(3)) < 40 * small + 0.05

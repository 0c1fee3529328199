from __future__ import annotations

from typing import Any

import orjson
import pytest

from deployments.contract.short_repr import short_repr


@pytest.mark.parametrize("value", [5, "a name", [1, "x"], {"a": 1}], ids=repr)
def test_what_is_short_is_said_as_it_is(value: Any) -> None:
    assert short_repr(value) == repr(value)


def test_what_json_has_other_words_for_is_said_in_those() -> None:
    assert short_repr([None, True, False]) == "[null, true, false]"


@pytest.mark.parametrize(
    "value",
    ["x" * 10_000, [1] * 10_000, {str(i): i for i in range(1000)}, 10**400],
    ids=["text", "list", "dict", "int"],
)
def test_what_is_long_is_cut(value: Any) -> None:
    assert len(short_repr(value)) < 100


def test_what_is_deep_is_cut_where_repr_would_fail() -> None:
    deep = orjson.loads(b"[" * 1000 + b"]" * 1000)
    assert len(short_repr(deep)) < 100

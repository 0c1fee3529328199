"""Each limit on an input: what is at the limit passes, what is above is refused by name."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from deployments.config.limits import Limits
from deployments.contract.embedding import Label
from deployments.contract.items import Item
from deployments.contract.model_info import ModelInfo
from deployments.gateway.input_validation import checked_dimensions, checked_items
from models.errors import InputError, LimitError

TEXT = ModelInfo(Label("text@1", "h"), "text", "text", 4, "fp32", "CPU")
IMAGE = ModelInfo(Label("image@1", "h"), "image", "image", 4, "fp32", "CPU")


def as_base64(size: int) -> str:
    return base64.b64encode(b"x" * size).decode()


# Limit, model, inputs at the limit, inputs above it, the field that the error names.
CASES: list[tuple[dict[str, Any], ModelInfo, list[Item], list[Item], str]] = [
    ({"items": 2}, TEXT, ["a", "b"], ["a", "b", "c"], "input"),
    ({"characters": 3}, TEXT, ["abc"], ["abcd"], "input"),
    ({"tokens": 2}, TEXT, [(1, 2)], [(1, 2, 3)], "input"),
    ({"image_bytes": 1024}, IMAGE, [b"x" * 1024], [b"x" * 1025], "input"),
    ({"image_bytes": 1024}, IMAGE, [as_base64(1024)], ["AAAA", as_base64(1025)], "input[1]"),
    ({"image_bytes": 1024}, IMAGE, [as_base64(1024)], [as_base64(99_000)], "input"),
]


@pytest.mark.parametrize(("limit", "info", "at", "above", "param"), CASES, ids=[str(case[0]) for case in CASES])
def test_a_limit_lets_pass_what_is_at_it_and_names_itself_above(
    limit: dict[str, int], info: ModelInfo, at: list[Item], above: list[Item], param: str
) -> None:
    limits = Limits.model_validate(limit)
    assert len(checked_items(at, "input", info, limits)) == len(at)
    with pytest.raises(LimitError) as caught:
        checked_items(above, "input", info, limits)
    assert caught.value.param == param
    assert f"the limit is {next(iter(limit.values()))}" in str(caught.value)


@pytest.mark.parametrize(
    "text", [as_base64(9), f"data:image/png;base64,{as_base64(9)}", f"DATA:Image/x;BASE64,{as_base64(9)}"]
)
def test_an_image_may_come_as_base64_or_as_a_data_uri(text: str) -> None:
    assert checked_items([text], "input", IMAGE, Limits()) == [b"x" * 9]


WRONG: list[tuple[str, ModelInfo, list[Item], str, str]] = [
    ("no items", TEXT, [], "input", "empty_input"),
    ("an empty text", TEXT, ["a", ""], "input[1]", "empty_input"),
    ("no token ids", TEXT, [()], "input", "empty_input"),
    ("an image for a text model", TEXT, [b"x"], "input", "wrong_modality"),
    ("token ids for an image model", IMAGE, [(1, 2)], "input", "wrong_modality"),
    ("text for an image model", IMAGE, ["a cat!"], "input", "invalid_image"),
    ("a data URI of text", IMAGE, ["data:text/plain;base64,aGk="], "input", "invalid_image"),
    ("a data URI without data", IMAGE, ["data:image/png;base64,"], "input", "empty_input"),
    ("a URL where none is fetched", IMAGE, ["https://a.example/b.png"], "input", "url_not_allowed"),
]


@pytest.mark.parametrize(("info", "items", "param", "code"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_cannot_be_embedded_is_refused_with_its_place_and_a_code(
    info: ModelInfo, items: list[Item], param: str, code: str
) -> None:
    with pytest.raises(InputError) as caught:
        checked_items(items, "input", info, Limits())
    assert (caught.value.param, caught.value.code) == (param, code)


def test_dimensions_are_those_asked_for_or_all() -> None:
    assert [checked_dimensions(asked, 8) for asked in (None, 1, 8)] == [8, 1, 8]
    for wrong in (0, 9, -1):
        with pytest.raises(InputError, match="from 1 to 8"):
            checked_dimensions(wrong, 8)

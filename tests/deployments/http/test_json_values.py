"""Large documents of many values are refused before they are parsed, and whatever anybody has use for is not."""

from __future__ import annotations

import json
import random

import pytest

from deployments.config.limits import Limits
from deployments.http.json_values import NUMBERS, PARTS, refuse_many_values
from deployments.http.request import parse_json
from models.errors import LimitError

LIMITS = Limits(items=20)  # 640 lists, objects and strings; 20,480 values
FILL = "x" * 70_000


@pytest.mark.parametrize("piece", ["[]", "{}", '""', '"ab"', '{"a":0}', "[0]"])
@pytest.mark.parametrize("times", [1, 10])
def test_more_lists_objects_and_strings_than_anybody_sends_are_refused(piece: str, times: int) -> None:
    body = f'{{"user": "{FILL}", "input": [{",".join([piece] * times * 20 * PARTS)}]}}'
    with pytest.raises(LimitError, match="more than 640 lists, objects and strings") as refused:
        parse_json(body.encode(), LIMITS)
    assert refused.value.code == "too_many_values"


@pytest.mark.parametrize("times", [1, 10])
def test_more_numbers_than_all_models_read_are_refused(times: int) -> None:
    with pytest.raises(LimitError, match="more than 20480 values"):
        parse_json(json.dumps({"user": FILL, "input": [7] * (times * 20 * NUMBERS + 2)}).encode(), LIMITS)


@pytest.mark.parametrize(
    "text", ["[" * 70_000, '"' * 70_000, "\\" * 70_001, '\\"[' * 40_000, ',"' * 70_000, "{},[]\\\\" * 20_000]
)
def test_what_stands_in_a_text_is_not_counted(text: str) -> None:
    document = {"input": [text] * 3, "user": "a"}
    assert parse_json(json.dumps(document).encode(), LIMITS) == document


def test_as_many_token_ids_as_models_read_pass() -> None:
    document = {"input": [[30_000] * 1000] * 20}
    assert parse_json(json.dumps(document).encode(), LIMITS) == document


def test_the_count_is_that_of_the_parser() -> None:
    chance = random.Random(7)
    for _ in range(300):
        texts = [
            "".join(chance.choices('\\"[]{},:ax\n', k=chance.randrange(400))) for _ in range(chance.randrange(700))
        ]
        document = {"user": FILL, "input": texts, "more": [[]] * chance.randrange(3)}
        parts = 5 + len(texts) + 2 + len(document["more"])  # the keys and the user are strings too
        limits = Limits(items=max(1, parts // PARTS))
        refused = False
        try:
            refuse_many_values(json.dumps(document).encode(), limits)
        except LimitError:
            refused = True
        strings, opened = 4 + len(texts), 3 + len(document["more"])
        assert refused == (strings > limits.items * PARTS or opened > limits.items * PARTS)

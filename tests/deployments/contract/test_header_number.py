"""Numbers in headers: a value is read exactly, or it is none; no text raises, and none takes long."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.contract.header_number import decimal_number, whole_number

ROOT = Path(__file__).parents[3] / "deployments"
# Where strangers' headers are at hand; elsewhere `int` and `float` read what we wrote ourselves.
READERS = [*ROOT.glob("http/**/*.py"), *ROOT.glob("gateway/image_fetch/*.py"), *ROOT.glob("auth/*.py")]


@pytest.mark.parametrize(
    "value", ["", "²", "5²", "٣", "-1", "+1", "1.0", "0x5", "1_0", " 1", "1 ", "9" * 16, "9" * 5000]
)
def test_what_is_no_whole_number_in_ascii_digits_is_none(value: str) -> None:
    assert whole_number(value) is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        ".",
        "nan",
        "inf",
        "-1",
        "1_0",
        " 1",
        "1e400",
        "1e",
        "e5",
        "٣",
        "²",
        "0x5",
        "1,5",
        "1" * 5000,
        "1e" + "1" * 5000,
    ],
)
def test_what_is_no_finite_decimal_in_ascii_is_none(value: str) -> None:
    assert decimal_number(value) is None


@given(st.integers(0, 10**15 - 1))
def test_a_whole_number_is_read_as_it_was_written(number: int) -> None:
    assert whole_number(str(number)) == number


@given(st.floats(1e-5, 1e6))
def test_a_decimal_is_read_as_it_was_written(number: float) -> None:
    written = f"{number:.9f}"
    assert decimal_number(written) == float(written)


@pytest.mark.parametrize(
    ("value", "number"), [("30", 30), ("0.5", 0.5), (".5", 0.5), ("5.", 5), ("1e2", 100), ("+3", 3)]
)
def test_forms_of_decimals_that_clients_write(value: str, number: float) -> None:
    assert decimal_number(value) == number


@given(st.text(st.characters(max_codepoint=255)))
def test_no_header_value_raises(value: str) -> None:
    assert whole_number(value) is None or value.isascii()
    assert decimal_number(value) is None or value.isascii()


def test_strangers_headers_become_numbers_nowhere_else() -> None:
    """``int``, ``float`` and ``isdigit`` in the rooms that read headers: the one that is left reads a query of 8 digits."""
    found = set()
    for path in READERS:
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
            if name in ("int", "float", "isdigit", "isdecimal", "isnumeric"):
                found.add((str(path.relative_to(ROOT)), name))
    of_bodies = {("http/field_values.py", "int"), ("http/field_values.py", "isdigit"), ("http/json_values.py", "int")}
    # Of our own table of messages, of the peer's address as gRPC has it, and of our own answer.
    ours = {(f"http/grpc/{name}.py", "int") for name in ("protocol", "exchange", "infer")}
    assert found == of_bodies | ours

"""Files that people write are changed where they must be and nowhere else."""

from __future__ import annotations

import difflib
from typing import Any

import pytest
import yaml

from models.catalog.paths import ROOT
from models.yaml_edit import edit

FILE = """\
# of the whole
service:
  port: 8000   # of the port
  note: null
apps: # of the list
  - name: first # of the first
    weights: {"1.0": 100} # of weights
    words: [a, b]

  # about the second
  - name: second
    text: 'quoted'  # of the text
    deep:
      a: 1
      # about b
      b: 2

  # about the third
  - name: third
    n: 3
# about the end
end: 1
"""


def document() -> Any:
    return yaml.safe_load(FILE)


def changed_lines(text: str) -> list[str]:
    lines = difflib.unified_diff(FILE.splitlines(), text.splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("a: 1 # one\nb: {c: 2}\n", {"a": 3, "b": {"c": 2}}),
        ("a: 1 # one\nb: {c: 2}\n", {"a": 1, "b": {"c": 2, "d": [1]}}),
        ("a:\n  x: 1\n  # about y\n  y: 2\nb: 1\n", {"a": {"x": 1, "y": 2, "z": None}, "b": 1}),
        ("a:\n  x: 1\n  # about y\n  y: 2\nb: 1\n", {"a": {"y": 2}, "b": 1}),
        ("a: [1, 2]\n", {"a": [1]}),
        ("a: |\n  long\n  text\nb: 1\n", {"a": "short", "b": 1}),
        ("'1.0': x", {"1.0": "y"}),
        ("a:\n- name: x\n  v: 1\n- name: y\nb: 1\n", {"a": [{"name": "y"}], "b": 1}),
        ("a:\n- name: x\n  v: 1\n- name: y\nb: 1\n", {"b": 1}),
        ("a:\n- name: x\nb: 1\n", {"a": [{"name": "x"}, {"name": "y", "v": [{"w": 1}]}], "b": 1}),
        ("a:\n- name: x\n  v: 1\n", {"a": [{"name": "x", "w": 2}]}),
        ("a:\n  - first: 1\n    name: x\n", {"a": [{"name": "x"}]}),
        ("a: 1\n", {"a": {"b": {"c": [1, {"d": None}]}}}),
    ],
)
def test_an_edit_reads_as_the_new_document_and_keeps_each_comment(text: str, new: Any) -> None:
    edited = edit(text, new)
    assert edited is not None
    assert yaml.safe_load(edited) == new
    assert edited.count("#") == text.count("#")


def test_what_does_not_change_stays_to_the_letter() -> None:
    assert edit(FILE, document()) == FILE
    for name in ("serve_config.yaml", "models/catalog.yaml"):
        text = (ROOT / name).read_text()
        assert edit(text, yaml.safe_load(text)) == text


def test_a_value_changes_in_its_place_and_in_its_quotes() -> None:
    new = document()
    new["service"]["port"] = 8001
    new["apps"][0]["weights"]["1.1"] = 0
    new["apps"][1]["text"] = "other"
    text = edit(FILE, new)
    assert text is not None
    assert changed_lines(text) == [
        "-  port: 8000   # of the port",
        "+  port: 8001   # of the port",
        '-    weights: {"1.0": 100} # of weights',
        '+    weights: {"1.0": 100, "1.1": 0} # of weights',
        "-    text: 'quoted'  # of the text",
        "+    text: 'other'   # of the text",
    ]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_an_item_that_goes_takes_no_comment_of_its_neighbours_along(index: int) -> None:
    new = document()
    del new["apps"][index]
    text = edit(FILE, new)
    assert text is not None
    assert all(line.startswith("-") for line in changed_lines(text))
    for comment in ("about the second", "about the third", "about the end", "of the whole", "of the list"):
        assert f"# {comment}\n" in text


def test_an_item_that_comes_stands_below_the_last_one_and_goes_without_a_trace() -> None:
    new = document()
    new["apps"].append({"name": "fourth", "deep": {"list": [{"name": "x", "options": {"n": 1}}]}})
    text = edit(FILE, new)
    assert text is not None
    assert changed_lines(text) == [
        "+",
        "+  - name: fourth",
        "+    deep:",
        "+      list:",
        "+        - name: x",
        "+          options: {n: 1}",
    ]
    assert edit(text, document()) == FILE


def test_a_key_that_comes_stands_in_its_mapping() -> None:
    new = document()
    new["apps"][1]["deep"]["c"] = {"x": [1]}
    text = edit(FILE, new)
    assert text is not None
    assert changed_lines(text) == ["+      c:", "+        x: [1]"]


@pytest.mark.parametrize(
    "text",
    [
        "a:\n    b: 1\n    c:\n        d: 1\n",
        "a:\n- name: x\n  b: 1\n- name: y\n  b: 2\n",
        "a:\n  b:\n    c:\n      - 1\n      - 2\n",
    ],
)
def test_the_indentation_that_a_file_has_stays(text: str) -> None:
    assert edit(text.replace("1", "7"), yaml.safe_load(text)) == text


def test_an_edit_that_an_anchor_would_spread_is_given_up() -> None:
    assert edit("a: &x {c: 1}\nb: *x\n", {"a": {"c": 2}, "b": {"c": 1}}) is None


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "a: [\n"], ids=["empty", "comment", "list", "no YAML"])
def test_a_text_that_is_no_mapping_is_given_up(text: str) -> None:
    assert edit(text, {"a": 1}) is None


def test_a_list_may_become_empty_and_full_again() -> None:
    text = edit("a: # the list\n- name: x\n  v: 1\nb: 1\n", {"a": [], "b": 1})
    assert text is not None
    assert yaml.safe_load(text) == {"a": [], "b": 1}
    full = edit(text, {"a": [{"name": "y"}], "b": 1})
    assert full is not None
    assert yaml.safe_load(full)["a"] == [{"name": "y"}]
    assert "# the list" in full


def test_items_that_share_a_name_are_one_value() -> None:
    text = edit("a:\n- name: x\n- name: x\n  v: 1\n", {"a": [{"name": "x"}]})
    assert text is not None
    assert yaml.safe_load(text) == {"a": [{"name": "x"}]}


def test_a_string_that_other_readers_take_for_something_else_is_given_up() -> None:
    assert edit("a: x\n", {"a": "yes"}) is None

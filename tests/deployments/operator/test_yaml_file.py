from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.operator.operations import add, remove, route, swap
from deployments.operator.yaml_file import YamlFile, edit
from models.catalog.catalog import ROOT
from models.errors import ConfigError
from tests.deployments.operator.documents import TEXT, one_version

TEXT_OF_FILE = (ROOT / "serve_config.yaml").read_text()
OPERATIONS: list[tuple[str, Callable[[Any], Any]]] = [
    ("swap", partial(swap, reference="text-embedding@1.0.0", artifact="text-embedding@1.1.0")),
    ("add", partial(add, reference="text-embedding@1.1.0")),
    ("add and route", lambda document: route(add(document, "text-embedding@1.1.0"), TEXT, {"1.1.0": 5}, {"1.0.0": 2})),
]


@pytest.mark.parametrize(("operation"), [row[1] for row in OPERATIONS], ids=[row[0] for row in OPERATIONS])
def test_a_change_keeps_every_comment(tmp_path: Path, operation: Callable[[Any], Any]) -> None:
    path = tmp_path / "serve_config.yaml"
    path.write_text(TEXT_OF_FILE)
    file = YamlFile.changed(path, operation)
    file.save()
    assert file.note == ""
    assert yaml.safe_load(path.read_text()) == operation(one_version())
    assert re.findall(r"# .*", path.read_text()) == re.findall(r"# .*", TEXT_OF_FILE)


def test_what_was_added_and_removed_again_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "serve_config.yaml"
    path.write_text(TEXT_OF_FILE)
    YamlFile.changed(path, partial(add, reference="text-embedding@1.1.0")).save()
    YamlFile.changed(path, partial(remove, reference="text-embedding@1.1.0", drain=False)).save()
    assert path.read_text() == TEXT_OF_FILE


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
    ],
)
def test_an_edit_reads_as_the_new_document(text: str, new: Any) -> None:
    edited = edit(text, yaml.safe_load(text), new)
    assert edited is not None
    assert yaml.safe_load(edited) == new


def test_an_edit_that_an_anchor_would_spread_is_given_up() -> None:
    text = "a: &x {c: 1}\nb: *x\n"
    assert edit(text, yaml.safe_load(text), {"a": {"c": 2}, "b": {"c": 1}}) is None


def test_a_file_that_the_change_does_not_fit_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "serve_config.yaml"
    path.write_text(TEXT_OF_FILE)
    with pytest.raises(ConfigError, match="differs from the cluster"):
        YamlFile.changed(path, partial(remove, reference="text-embedding@1.1.0", drain=False))
    assert path.read_text() == TEXT_OF_FILE

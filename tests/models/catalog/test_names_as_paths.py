"""Names from outside never become paths that lead out of their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.catalog.catalog import Catalog
from models.catalog.custom import describe_folder
from models.catalog.model_spec import require_name, require_version
from models.catalog.paths import resolve_path, store
from models.errors import ArtifactError, ConfigError, EmbedserveError
from models.files import below, partial_path
from models.graph.calibration import Calibration
from tests.data.tiny import TinyModel

PARTS = st.sampled_from(
    [
        "..",
        ".",
        "/",
        "//",
        "\\",
        "~",
        "x",
        "a.onnx",
        "\0",
        "\n",
        "%2e%2e",
        "\u2025",
        "C:",
        "-",
        " ",
        "é" * 200,
        "\udc80",
    ]
)
NAMES = st.lists(PARTS, min_size=1, max_size=6).map("".join) | st.lists(PARTS, max_size=6).map("/".join) | st.text()


@given(NAMES)
def test_a_name_stays_in_its_folder_or_is_refused(name: str) -> None:
    folder = Path("/some/folder")
    try:
        path = below(folder, name)
    except ConfigError:
        return
    assert Path(os.path.normpath(path)) == path, "no part leads up"
    assert folder in path.parents
    os.fsencode(partial_path(path)).decode()


@given(st.lists(st.from_regex(r"[a-z0-9_][a-z0-9._-]{0,20}", fullmatch=True), min_size=1, max_size=4).map("/".join))
def test_usual_names_are_taken(name: str) -> None:
    assert below(Path("/some/folder"), name) == Path("/some/folder") / name


@given(NAMES, NAMES)
def test_a_reference_that_is_accepted_makes_a_file_in_the_store(model: str, version: str) -> None:
    try:
        require_name(model)
        require_version(model, version)
    except ValueError:
        return
    assert resolve_path(f"./models/store/{model}-{version}.onnx").parent == store()


@given(NAMES)
def test_a_path_of_the_store_stays_in_the_store(name: str) -> None:
    try:
        path = resolve_path(f"models/store/{name}")
    except ConfigError:
        return
    assert store() in Path(os.path.normpath(path)).parents


@given(NAMES)
def test_a_calibration_is_read_from_its_folder_alone(name: str) -> None:
    with pytest.raises(EmbedserveError, match=r"is no name of a file|no calibration"):
        Calibration.load(name)


@pytest.mark.parametrize(
    "reference",
    [
        "../../x@1",
        "x@../../1",
        "/x@1",
        "x@1/../..",
        "X@1",
        "x@1\n",
        "x\n@1",
        "x@",
        "@1",
        "x" * 41 + "@1",
        "..@1",
        "x@..",
    ],
)
def test_a_model_of_ones_own_gets_no_name_that_leads_out_of_the_store(reference: str, tiny: TinyModel) -> None:
    with pytest.raises(ArtifactError, match="must be NAME@VERSION"):
        describe_folder(reference, tiny.folder)


def test_the_catalogue_that_ships_has_no_such_name() -> None:
    assert {spec.graph.parent for spec in Catalog.load().specs()} == {store()}

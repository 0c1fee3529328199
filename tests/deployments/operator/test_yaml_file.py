from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.operator.operations import add, remove, route, swap
from deployments.operator.yaml_file import YamlFile
from models.catalog.paths import ROOT
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


def test_a_file_that_the_change_does_not_fit_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "serve_config.yaml"
    path.write_text(TEXT_OF_FILE)
    with pytest.raises(ConfigError, match="differs from the cluster"):
        YamlFile.changed(path, partial(remove, reference="text-embedding@1.1.0", drain=False))
    assert path.read_text() == TEXT_OF_FILE


def test_what_somebody_wrote_into_the_file_meanwhile_stays_and_the_missing_change_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "serve_config.yaml"
    path.write_text(TEXT_OF_FILE)
    file = YamlFile.changed(path, OPERATIONS[0][1])
    path.write_text(TEXT_OF_FILE + "# a colleague's note\n")
    with pytest.raises(ConfigError, match=r"(?s)service is changed, but .*somebody else.*\+.*text-embedding@1.1.0"):
        file.save()
    assert path.read_text() == TEXT_OF_FILE + "# a colleague's note\n"


def test_a_file_that_cannot_be_written_is_named_before_the_service_changes(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "serve_config.yaml"
    file = YamlFile(path, b"", "")
    with pytest.raises(ConfigError, match=r"--write: .*cannot be written.*nothing was changed"):
        file.require_writable()


def test_a_rayservice_manifest_and_a_kustomize_folder_are_edited_like_a_serve_file(tmp_path: Path) -> None:
    inner = "".join(f"    {line}\n" if line else "\n" for line in TEXT_OF_FILE.splitlines())
    manifest = (
        f"kind: RayService # ours\nmetadata: {{name: mine}}\nspec:\n  serveConfigV2: |\n{inner}  suspend: false\n"
    )
    path = tmp_path / "serve-config.yaml"
    path.write_text(manifest)
    (tmp_path / "kustomization.yaml").write_text("resources: [../base]\npatches:\n  - path: serve-config.yaml\n")
    file = YamlFile.changed(tmp_path, partial(add, reference="text-embedding@1.1.0"))
    file.save()
    assert (file.path, file.note) == (path, "")
    assert re.findall(r"# .*", path.read_text()) == re.findall(r"# .*", manifest)
    whole = yaml.safe_load(path.read_text())
    assert yaml.safe_load(whole["spec"]["serveConfigV2"]) == add(one_version(), "text-embedding@1.1.0")
    assert whole["spec"]["suspend"] is False
    YamlFile.changed(path, partial(remove, reference="text-embedding@1.1.0", drain=False)).save()
    assert path.read_text() == manifest

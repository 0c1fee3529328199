"""A Serve configuration inside of a manifest is found and replaced, and everything around it stays."""

from __future__ import annotations

import pytest
import yaml

from deployments.cluster.embedded import find, patch_of
from models.errors import ConfigError
from tests.k8s.tools import K8S

MANIFEST = """\
# Ours: sizes agreed in March.
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: ray.io/v1
kind: RayService
metadata:
  name: search   # the team's name
spec:
  serveConfigV2: |
    # weights by the search team
    a: 1

    b: {c: 2}
  rayClusterConfig:
    rayVersion: 2.60.0 # pinned
"""
JSON_PATCH = """\
- op: replace
  path: /spec/serveConfigV2
  value: |
    a: 1
- {op: remove, path: /spec/suspend}
"""


def test_only_the_configurations_lines_change() -> None:
    (found,) = find(MANIFEST, "x")
    assert (found.service, found.config) == ("search", "# weights by the search team\na: 1\n\nb: {c: 2}\n")
    assert found.replaced(MANIFEST, found.config) == MANIFEST
    changed = found.replaced(MANIFEST, found.config.replace("c: 2", "c: 3"))
    assert changed == MANIFEST.replace("c: 2", "c: 3")


@pytest.mark.parametrize(
    "text",
    [
        JSON_PATCH,
        MANIFEST.split("  rayClusterConfig", maxsplit=1)[0],
        'kind: RayService\nspec:\n  serveConfigV2: "a: 1\\n"\n  suspend: false\n',
        "kind: RayService\nspec: {serveConfigV2: 'a: 1'}\n".replace("{", "\n  ").replace("}", ""),
    ],
    ids=["a JSON patch", "at the end of a file", "in quotes", "in quotes at the end"],
)
def test_another_configuration_is_read_back_wherever_it_stood(text: str) -> None:
    (found,) = find(text, "x")
    after = found.replaced(text, "a: 2\nb: 3\n")
    (again,) = find(after, "x")
    assert again.config == "a: 2\nb: 3\n"
    assert len(list(yaml.safe_load_all(after))) == len(list(yaml.safe_load_all(text)))
    assert ("suspend" in after) == ("suspend" in text)


def test_every_overlay_of_the_repository_has_its_configuration_where_its_kustomization_says() -> None:
    folders = [path.parent for path in (K8S / "overlays").glob("*/kustomization.yaml")]
    assert len(folders) >= 4
    for folder in folders:
        assert patch_of(folder) == folder / "serve-config.yaml"


def test_a_folder_without_a_configuration_of_its_own_says_what_to_add(tmp_path) -> None:
    (tmp_path / "kustomization.yaml").write_text(f"resources: [{K8S / 'base'}]\n")
    with pytest.raises(ConfigError, match="give it a patch of that kind"):
        patch_of(tmp_path)
    with pytest.raises(ConfigError, match="is a folder without"):
        patch_of(tmp_path.parent)

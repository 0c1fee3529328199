"""A catalogue of a test's own: a tiny model in two precisions, and a version that is said to be wider."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from models.catalog.custom import describe_folder
from tests.data.tiny import write

FIRST, NEXT, WIDE = "tiny@1.0.0", "tiny@1.1.0", "tiny@2.0.0"


def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it the catalogue, with a store of its own."""
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path / "store"))
    monkeypatch.setenv("EMBEDSERVE_CATALOG", str(tmp_path / "catalog.yaml"))
    folder = write(tmp_path / "tiny").folder
    specs = [describe_folder(FIRST, folder), describe_folder(NEXT, folder, "fp16")]
    specs.append(specs[0].model_copy(update={"version": "2.0.0", "dimensions": 16}))
    entries = {
        spec.version: spec.model_dump(mode="json", exclude={"model", "version"}, exclude_none=True) for spec in specs
    }
    (tmp_path / "catalog.yaml").write_text(yaml.safe_dump({"models": {"tiny": entries}}))

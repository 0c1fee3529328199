from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.catalog.zoo import Zoo


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path / "store"))
    (tmp_path / "zoo").mkdir()
    return Zoo(tmp_path / "zoo")

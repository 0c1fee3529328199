from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.cluster.local_ray import node_environment
from deployments.serve_internals import lean_serve
from models.catalog.paths import ROOT

SERVE_ALONE = "import sys, ray.serve._private.utils as utils; print('pandas.core' in sys.modules, utils.pd is None)"
OTHERS = "import ray.serve, pandas; print(pandas.DataFrame({'a': [1, 2]}).a.sum(), pandas.__file__)"


def said(script: str, others: str | None = None) -> list[str]:
    environment = {**os.environ, **lean_serve.variables({} if others is None else {lean_serve.VARIABLE: others})}
    command = [sys.executable, "-c", script]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=120
    ).stdout.split()


def test_serve_starts_without_pandas_and_everybody_else_gets_it() -> None:
    assert said(SERVE_ALONE) == ["False", "True"]
    total, place = said(OTHERS)
    assert total == "3"
    assert lean_serve.FOLDER not in Path(place).parents


def test_what_an_operator_put_on_the_path_stays_there(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("HERE = 'yes'")
    assert said("import mine; print(mine.HERE)", str(tmp_path)) == ["yes"]
    assert lean_serve.in_effect(lean_serve.variables({lean_serve.VARIABLE: str(tmp_path)}))
    assert not lean_serve.in_effect({lean_serve.VARIABLE: str(tmp_path)})


def test_ray_of_this_machine_starts_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(lean_serve.VARIABLE, raising=False)
    assert lean_serve.in_effect(node_environment())


def test_the_images_start_so() -> None:
    assert f"site-packages/{lean_serve.FOLDER.relative_to(ROOT)}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")

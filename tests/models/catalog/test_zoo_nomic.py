"""NomicBERT in the hub's spelling: config.json is followed as the hub's own code does, or refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.catalog.custom import describe_folder
from models.catalog.store import pull
from models.embedder import open_embedder
from models.errors import ArtifactError
from tests.data.zoo.families import DATA, MUTATED_TEXTS, TEXTS
from tests.data.zoo.nomic import Nomic, mutations
from tests.models.catalog.zoo import lowest

LIBRARY = np.load(DATA / "nomic.npz")
CLOSE = 0.999999


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path / "store"))


def vectors_of(case: Nomic, folder: Path, reference: str, texts: list[str]) -> NDArray[np.float32] | None:
    """Those of the service; None where it refuses the folder."""
    try:
        spec = describe_folder(reference, case.write(folder))
        return open_embedder(pull(spec, allow_synthetic=False)).embed_items(texts)
    except ArtifactError:
        return None


def test_the_hubs_folder_gives_the_vectors_of_the_hubs_own_code(tmp_path: Path) -> None:
    ours = vectors_of(next(mutations()), tmp_path / "model", "zoo@1", TEXTS)
    assert ours is not None
    assert lowest(ours, LIBRARY["whole"]) > CLOSE


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def test_a_changed_config_json_in_the_hubs_spelling_is_followed_or_refused(step: int, tmp_path: Path) -> None:
    wrong = []
    ends: Counter[str] = Counter()
    for index, (case, theirs) in list(enumerate(zip(mutations(), LIBRARY["vectors"], strict=True)))[::step]:
        ours = vectors_of(case, tmp_path / f"{index}", f"zoo@{index}", MUTATED_TEXTS)
        ends["refused" if ours is None else "followed"] += 1
        if ours is not None and not lowest(ours, theirs) > CLOSE:  # also where the library gives none
            wrong.append(f"{case.name}: {lowest(ours, theirs)}")
    print(dict(ends))
    assert not wrong, "\n".join([f"{len(wrong)} silent differences", *wrong])
    assert min(ends.values()) > 40 / step, ends

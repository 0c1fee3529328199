"""A changed description of CLIP's, SigLIP's or OpenCLIP's towers is followed as the library does, or refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from models.catalog.custom import describe_folder
from models.catalog.store import pull
from models.embedder import open_embedder
from models.errors import ArtifactError
from tests.data.zoo.families import DATA, PICTURES
from tests.data.zoo.towers import WIDTH, WORDS, Mutant, tower_mutations

LIBRARY = np.load(DATA / "towers.npz")
MUTANTS = list(tower_mutations())
OTHER_SIZE = "open_clip: vision_cfg.image_size 25"  # the library was given a picture of 24 pixels
CLOSE = {"text": 0.999999, "image": 0.99999}


def vectors_of(mutant: Mutant, folder: Path, index: int, tower: Literal["image", "text"]) -> NDArray[np.float32] | str:
    """Rows as long as the library's, or the reason of a refusal."""
    inputs = WORDS if tower == "text" else [(DATA.parent / "pictures" / PICTURES[0]).read_bytes()]
    try:
        spec = describe_folder(f"zoo{index}@1", folder, "fp32", tower)
        if spec.type != tower:
            return "the other tower alone"
        vectors = open_embedder(pull(spec, allow_synthetic=False)).embed_items(inputs)
    except ArtifactError as error:
        return str(error)
    return np.pad(vectors, ((0, 0), (0, WIDTH - vectors.shape[1])))


def in_the_other(mutant: Mutant, tower: Literal["image", "text"]) -> bool:
    """Whether what changed describes the other tower, of which this one's vectors do not depend; the library builds both."""
    part = mutant.name.partition(": ")[2]
    return ("vision" if tower == "text" else "text") in part


@pytest.mark.parametrize("tower", ["text", "image"])
@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def test_a_changed_description_is_followed_as_the_library_does_or_refused(
    tower: Literal["image", "text"], step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path / "store"))
    ends: Counter[str] = Counter()
    wrong = []
    unchanged: dict[str, NDArray[np.float32] | str] = {}
    for index, mutant in enumerate(MUTANTS):
        begins = mutant.name.endswith(": as it is")
        if (index % step and not begins) or mutant.name == OTHER_SIZE:
            continue
        expected = LIBRARY["texts"][index] if tower == "text" else LIBRARY["pictures"][index][None]
        taken = bool(np.isfinite(expected).all())
        ours = vectors_of(mutant, mutant.write(tmp_path / f"{index}"), index, tower)
        if begins:
            unchanged[mutant.name.partition(": ")[0]] = ours
        if isinstance(ours, str):
            ends["refused" if taken else "refused as the library does"] += 1
            if begins and taken:
                wrong.append(f"{mutant.name}: {ours}")
        elif taken:
            ends["followed"] += 1
            cosine = float((ours.astype(np.float64) * expected).sum(axis=1).min())
            if not cosine > CLOSE[tower]:
                wrong.append(f"{mutant.name}: {cosine}")
        else:
            ends["served though the library fails at the other tower"] += 1
            if not in_the_other(mutant, tower) or not np.array_equal(ours, unchanged[mutant.name.partition(": ")[0]]):
                wrong.append(f"{mutant.name}: the library gives none")
    print(dict(ends))
    assert not wrong, "\n".join([f"{len(wrong)} of {ends}", *wrong[:60]])
    assert ends["followed"] > 150 / step, ends
    assert ends["refused as the library does"] > 150 / step, ends

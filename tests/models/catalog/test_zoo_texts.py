"""Every way in which a folder makes vectors of texts: the vector is the library's own, or the folder is refused by name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.company import company
from tests.data.zoo.text_combinations import combinations
from tests.data.zoo.text_mutations import mutations
from tests.models.catalog.zoo import Zoo

LIBRARY = np.load(Path(__file__).resolve().parents[2] / "data" / "zoo" / "texts.npz")
CLOSE = 0.999999
HALF = 0.9999  # where the library computes in half precision, which here the entry's precision decides
COMBINATIONS, MUTATIONS = list(combinations()), list(mutations())
SAMPLE = 41  # of the mutations, every so many are in the plain suite
# What the library takes and this service does not, of the combinations with a finished graph; all others must be taken.
REFUSED = {"an encoder alone": "say it with --pooling"}


def expected(kind: str, index: int) -> NDArray[np.float32] | None:
    """The library's vectors; None where it does not take the folder."""
    place = int(LIBRARY[kind][index])
    return None if place < 0 else LIBRARY[f"{kind}_{place}"]


def lowest_cosine(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    if ours.shape != theirs.shape:
        return -1.0
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float(((ours.astype(np.float64) * theirs).sum(axis=1) / norms).min())


@pytest.mark.parametrize("finished", [False, True], ids=["from weights", "from a finished graph"])
def test_every_combination_is_served_as_the_library_serves_it(zoo: Zoo, *, finished: bool) -> None:
    wrong = []
    for index, case in enumerate(COMBINATIONS):
        theirs = expected("combinations", index)
        assert theirs is not None, case.name
        ours = zoo.vectors(case, finished=finished)
        if isinstance(ours, str):
            if not finished or case.name not in REFUSED or REFUSED[case.name] not in ours:
                wrong.append(f"{case.name}: refused: {ours}")
        elif (cosine := lowest_cosine(ours, theirs)) < CLOSE:
            wrong.append(f"{case.name}: {cosine:.6f}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_no_pooling_makes_a_vector_depend_on_the_other_texts(zoo: Zoo, precision: str) -> None:
    for index, case in enumerate(
        case for case in COMBINATIONS if "older spelling" in case.name or "all together" in case.name
    ):
        model = zoo.opened(case.write(zoo.folder / f"{index}"), f"m{index}@1", precision)
        measured = company(model)
        assert measured is not None
        assert measured.equal, f"{case.name}: {measured.lowest}"


def judged(zoo: Zoo, indices: Iterator[int] | range) -> tuple[Counter[str], list[str]]:
    """How mutations end, and those that end as they must not."""
    ends: Counter[str] = Counter()
    wrong = []
    for index in indices:
        case, theirs = MUTATIONS[index], expected("mutations", index)
        ours = zoo.vectors(case)
        if isinstance(ours, str):
            ends["refused" if theirs is not None else "refused as the library does"] += 1
            if (
                not any(Path(name).name in ours for name in case.files)
                and "weights" not in ours
                and "graph" not in ours
            ):
                wrong.append(f"{case.name}: the reason names no file: {ours}")
        elif theirs is None:
            wrong.append(f"{case.name}: served, and the library raises")
        elif (cosine := lowest_cosine(ours, theirs)) < (HALF if '"float16"' in case.name else CLOSE):
            ends["another vector"] += 1
            wrong.append(f"{case.name}: {cosine:.6f}")
        else:
            ends["the same vector"] += 1
    return ends, wrong


def test_a_changed_configuration_gives_the_librarys_vector_or_a_refusal(zoo: Zoo) -> None:
    ends, wrong = judged(zoo, range(0, len(MUTATIONS), SAMPLE))
    assert not wrong, "\n".join(wrong)
    assert ends["the same vector"]
    assert ends["refused"]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_no_changed_configuration_gives_a_third_thing(zoo: Zoo, part: int) -> None:
    ends, wrong = judged(zoo, range(part, len(MUTATIONS), 4))
    print(json.dumps(ends))
    assert not wrong, "\n".join(wrong)

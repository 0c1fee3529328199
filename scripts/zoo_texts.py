"""What the reference library makes of the texts of the zoo.

Runs in its environment, as scripts/reference.py does::

    .env-reference/bin/python -m scripts.zoo_texts [FIRST LAST PART]

Writes ``tests/data/zoo/texts.npz``: the vectors of each case in order, as indices into those that differ;
-1 where the library does not take the folder. With FIRST and LAST only those mutations, into the file PART.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer
from transformers.utils import logging

from tests.data.zoo.text_combinations import combinations
from tests.data.zoo.text_mutations import mutations
from tests.data.zoo.texts import TEXTS, Case

TARGET = Path(__file__).resolve().parent.parent / "tests" / "data" / "zoo" / "texts.npz"


def main() -> None:
    """Compute everything and write it."""
    logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    if sys.argv[1:]:
        first, last, part = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
        save(Path(part), {"mutations": list(mutations())[first:last]})
        return
    save(TARGET, {"combinations": list(combinations()), "mutations": list(mutations())})


def save(target: Path, groups: dict[str, list[Case]]) -> None:
    """Write the vectors of all cases."""
    arrays: dict[str, np.ndarray] = {}
    for name, cases in groups.items():
        found = [vectors_of(case) for case in cases]
        print(f"{name}: {len(found)}, of which the library takes {sum(f is not None for f in found)}", flush=True)
        arrays |= packed(name, found)
    np.savez_compressed(target, **arrays)


def packed(name: str, found: Iterable[np.ndarray | None]) -> dict[str, np.ndarray]:
    """Rows that are equal once, with the place of each case's: ``NAME`` [cases] into ``NAME_n``."""
    seen: dict[bytes, int] = {}
    rows: dict[str, np.ndarray] = {}
    places = []
    for vectors in found:
        if vectors is None:
            places.append(-1)
            continue
        key = vectors.tobytes()
        if key not in seen:
            seen[key] = len(seen)
            rows[f"{name}_{seen[key]}"] = vectors
        places.append(seen[key])
    return {name: np.array(places, np.int32), **rows}


def vectors_of(case: Case) -> np.ndarray | None:
    """float32 [texts, d] as the library gives them; None where it raises."""
    texts = [TEXTS[i] for i in case.texts]
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = case.write(Path(folder) / "model")
            model = SentenceTransformer(str(path), device="cpu", local_files_only=True)
            vectors = model.encode(texts, batch_size=len(texts), convert_to_numpy=True, show_progress_bar=False)
        except Exception:  # whatever a library raises at a folder that it does not take
            return None
    taken = np.asarray(vectors, np.float32)
    return np.round(taken, 6) if np.isfinite(taken).all() else None


if __name__ == "__main__":
    main()

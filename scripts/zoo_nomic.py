"""What NomicBERT's own code makes of the zoo's folder in the hub's spelling.

Runs in the environment of the reference libraries, with the folder that holds ``modeling_hf_nomic_bert.py`` and
``configuration_hf_nomic_bert.py`` of the hub (nomic-ai/nomic-bert-2048; also in nomic-ai/contrastors on GitHub)::

    .env-reference/bin/python -m scripts.zoo_nomic FOLDER

Writes ``tests/data/zoo/nomic.npz``: ``vectors`` [mutations, texts, 32], unit vectors, not a number where that code does not
take the config.json with these weights.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.utils import logging

from scripts.zoo_families import ids, unit
from tests.data.zoo.families import DATA, MUTATED_TEXTS, TEXTS, weight
from tests.data.zoo.nomic import HIDDEN, Nomic, mutations, shapes


def main() -> None:
    """Compute and write."""
    logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1]).resolve()
    sys.path.insert(0, str(folder.parent))
    code = importlib.import_module(f"{folder.name}.modeling_hf_nomic_bert")
    # A method of PreTrainedModel that transformers 5 has no more; texts come alone, so that nothing is masked.
    code.NomicBertModel.get_extended_attention_mask = lambda _self, mask, _shape: torch.zeros(mask.shape)[:, None, None]
    cases = list(mutations())
    found = np.full((len(cases), len(MUTATED_TEXTS), HIDDEN), np.nan, np.float32)
    for row, case in zip(found, cases, strict=True):
        with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():
            row[:] = vectors_of(code, case, MUTATED_TEXTS)
    with torch.inference_mode():
        whole = vectors_of(code, cases[0], TEXTS)
    print(f"{len(found)} descriptions, of which its code takes {np.isfinite(found).all(axis=(1, 2)).sum()}")
    print(np.round(whole @ whole.T, 3)[0])
    np.savez_compressed(DATA / "nomic.npz", vectors=found, whole=whole)


def vectors_of(code: Any, case: Nomic, texts: list[str]) -> NDArray[np.float32]:
    """The mean of the token vectors of each text, of length 1."""
    config = code.NomicBertConfig(**deepcopy({key: value for key, value in case.config.items() if key != "model_type"}))
    model = code.NomicBertModel(config, add_pooling_layer=False).eval()
    made = {name: torch.from_numpy(weight(name, shape)) for name, shape in shapes().items()}
    model.load_state_dict(made, strict=True)
    rows = [ids(text) for text in texts]
    return unit([model(row, attention_mask=torch.ones_like(row)).last_hidden_state.mean(dim=1) for row in rows])


if __name__ == "__main__":
    main()

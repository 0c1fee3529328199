"""What transformers makes of texts with SigLIP's own tokenizer.

Runs in the environment of the reference libraries, with ``sentencepiece`` beside them::

    .env-reference/bin/python -m scripts.zoo_siglip

Writes ``tests/data/zoo/siglip.spiece.model`` and ``siglip-bytes.spiece.model``, unless they are there, and ``siglip.npz``: for each case unit vectors of its
texts, and their token ids, filled up.
"""

from __future__ import annotations

import io
import tempfile
import warnings
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from scripts.zoo_families import unit
from scripts.zoo_texts import packed
from tests.data.zoo.families import DATA
from tests.data.zoo.siglip import CASES, FEW, IN_BYTES, PIECES, TEXTS, Siglip, mutations

SENTENCES = [
    "a photo of a cat",
    "a photo of a dog in the park",
    "the ball game of the dog and the cat",
    "five fish 12 in istanbul and the strasse",
    "οδος και οδοσ",
    "b and c of the parking balls",
    "The Photo Of A CAT",
] * 20
REPLACED = {"ﬁ": "fi", "１": "1", "２": "2", "\u200b": " ", "\u3000": " ", "é": "e"}  # a small table of characters


def main() -> None:
    """Train, compute and write."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    for path, size, in_bytes in ((PIECES, 160, False), (IN_BYTES, 380, True)):
        if not path.exists():
            path.write_bytes(trained(size, in_bytes=in_bytes))
    vectors: dict[str, np.ndarray] = {}
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            ids, found = of_case(case, Path(folder) / "model", TEXTS)
        vectors |= {case.name: found, f"{case.name}, ids": ids}
        print(case.name, ids[1], np.round(found @ found.T, 3)[0][:6])
    few = [TEXTS[i] for i in FEW]
    changed = [of_mutant(case, few) for case in mutations()]
    print(f"{len(changed)} mutations, of which the library takes {sum(found is not None for found in changed)}")
    np.savez_compressed(DATA / "siglip.npz", **vectors, **packed("mutations", changed))


def trained(size: int, *, in_bytes: bool) -> bytes:
    """A small file of SentencePiece."""
    model = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", encoding="utf-8") as rules:
        for source, target in REPLACED.items():
            rules.write(f"{ord(source):X}\t{' '.join(f'{ord(c):X}' for c in target)}\n")
        rules.flush()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(SENTENCES),
            model_writer=model,
            vocab_size=size,
            byte_fallback=in_bytes,
            model_type="unigram",
            normalization_rule_tsv=rules.name,
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            minloglevel=2,
            hard_vocab_limit=False,
        )
    return model.getvalue()


def of_mutant(case: Siglip, texts: list[str]) -> np.ndarray | None:
    """Unit vectors; None where the library raises."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return np.round(of_case(case, Path(folder) / "model", texts)[1], 6)
        except Exception:  # whatever a library raises at a folder that it does not take
            return None


def of_case(case: Siglip, folder: Path, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Token ids int64 [texts, tokens] and unit vectors float32 [texts, d], of what the library itself passes to the model."""
    case.write(folder)
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    model = AutoModel.from_pretrained(str(folder), local_files_only=True).float().eval()
    given = tokenizer(texts, truncation=True, padding="max_length", return_tensors="pt")
    if "model_input_names" not in case.words:
        del given["attention_mask"]  # SigLIP sees what texts are filled up with
    with torch.inference_mode():
        found = model.text_model(**given).pooler_output
    return given["input_ids"].numpy(), unit([found])


if __name__ == "__main__":
    main()

"""SigLIP's texts through its own tokenizer, of SentencePiece: the ids and vectors are the library's, or the folder is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from models.catalog.custom import describe_folder
from models.catalog.store import pull
from models.embedder import open_embedder
from models.errors import ArtifactError
from models.inputs.token_ids import pad
from models.modalities.text import TextEmbedder
from tests.data.zoo.families import DATA
from tests.data.zoo.siglip import CASES, FEW, LONGEST, TEXTS, WORDS, Siglip, mutations
from tests.models.catalog.zoo import lowest

LIBRARY = np.load(DATA / "siglip.npz")
CLOSE = 0.999999


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path / "store"))


def opened(folder: Path, reference: str = "zoo@1", precision: str = "fp32") -> TextEmbedder:
    model = open_embedder(pull(describe_folder(reference, folder, precision, "text"), allow_synthetic=False))
    assert isinstance(model, TextEmbedder)
    return model


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_texts_become_the_ids_and_the_vectors_of_the_library(case: Siglip, tmp_path: Path) -> None:
    model = opened(case.write(tmp_path / "model"))
    end = model.artifact.spec.config["fill"]
    for text, row, theirs in zip(TEXTS, model.tokenizer.encode(TEXTS), LIBRARY[f"{case.name}, ids"], strict=True):
        assert [*row, *[end] * (LONGEST - len(row))] == theirs.tolist(), text
    assert lowest(model.embed(TEXTS), LIBRARY[case.name]) > CLOSE


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_text_alone_has_the_bits_that_it_has_in_company(precision: str, tmp_path: Path) -> None:
    model = opened(CASES[0].write(tmp_path / "model"), precision=precision)
    rows = model.tokenizer.encode(TEXTS)
    for row, vector in zip(rows, model.run_padded(*pad(rows)), strict=True):
        np.testing.assert_array_equal(model.run_padded(*pad([row]))[0], vector)


def test_ids_that_a_client_brings_are_those_of_their_text(tmp_path: Path) -> None:
    tokenizer = opened(CASES[0].write(tmp_path / "model")).tokenizer
    ids = tokenizer.encode([TEXTS[1], TEXTS[-2]])
    for row in ids:
        assert tokenizer.wrap(row.tolist()).tolist() == row.tolist()
        assert tokenizer.wrap(row.tolist()[:-1]).tolist() == row.tolist()


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def test_a_changed_tokenizer_config_is_followed_as_the_library_does_or_refused(step: int, tmp_path: Path) -> None:
    ends: Counter[str] = Counter()
    wrong = []
    for index, case in list(enumerate(mutations()))[::step]:
        place = int(LIBRARY["mutations"][index])
        try:
            ours = opened(case.write(tmp_path / f"{index}"), f"zoo@{index}").embed([TEXTS[i] for i in FEW])
        except ArtifactError as error:
            ends["refused"] += 1
            if "tokenizer_config.json" not in str(error):
                wrong.append(f"{case.name}: the reason names no file: {error}")
            continue
        ends["followed"] += 1
        if place < 0:
            wrong.append(f"{case.name}: the library raises")
        elif not (cosine := lowest(ours, LIBRARY[f"mutations_{place}"])) > CLOSE:
            wrong.append(f"{case.name}: {cosine}")
    print(dict(ends))
    assert not wrong, "\n".join([f"{len(wrong)} of {dict(ends)}", *wrong[:60]])
    assert min(ends.values()) > 50 / step, ends


def test_without_its_file_of_sentencepiece_the_folder_is_refused_with_the_remedy(tmp_path: Path) -> None:
    folder = CASES[0].write(tmp_path / "model")
    (folder / "spiece.model").unlink()
    with pytest.raises(ArtifactError, match=r"lacks spiece\.model.*tokenizer_class to 'PreTrainedTokenizerFast'"):
        opened(folder)


@pytest.mark.parametrize("cut", [0, 1, 100, 1000])
def test_a_damaged_file_of_sentencepiece_is_refused_by_name(cut: int, tmp_path: Path) -> None:
    folder = Siglip("damaged", WORDS).write(tmp_path / "model")
    content = (folder / "spiece.model").read_bytes()
    (folder / "spiece.model").write_bytes(content[:cut])
    with pytest.raises(ArtifactError, match=r"spiece\.model"):
        opened(folder)

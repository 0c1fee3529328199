"""How far the int8, fp16 and bf16 versions lie from fp32, on inputs that the recipes were not tuned on: ``make fidelity``.

Three samples: paragraphs of installed packages' documentation, the pictures that scikit-image and scikit-learn ship,
and pairs that people judged (WordSim-353, SimLex-999 and Lee's fifty news articles, which gensim ships for its tests).
"""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.loads.corpus import texts
from bench.models.wheels import members
from models.catalog.catalog import Catalog
from models.catalog.record import is_synthetic
from models.catalog.store import pull
from models.embedder import open_embedder
from models.engine.openvino import bf16_refusal
from models.fidelity import compare, cosines
from models.modalities.image import ImageEmbedder
from models.modalities.text import TextEmbedder

CHOSEN_BY = 1200  # of the corpus: the int8 recipe was tuned on them, so they are not reported
TEXTS = 2400
GENSIM = "gensim==4.4.0"
PICTURES = (("scikit-image==0.26.0", "skimage/data"), ("scikit-learn==1.7.2", "sklearn/datasets/images"))
VERSIONS = ("1.1.0", "1.2.0", *(("1.3.0",) if bf16_refusal() is None else ()))

Floats = NDArray[np.float64]


def fresh_texts() -> list[str]:
    """Paragraphs that the recipe was not tuned on."""
    return texts(CHOSEN_BY + TEXTS)[CHOSEN_BY:]


def pictures() -> list[bytes]:
    """Every picture that Pillow can read."""
    found = [file for package, folder in PICTURES for file in members(package, folder, (".png", ".jpg")).values()]
    return [file for file in found if _readable(file)]


def crops(files: Iterable[bytes]) -> list[bytes]:
    """The four quarters of each picture, as PNG: more inputs, and nearer neighbours, than so few pictures give."""
    parts = []
    for file in files:
        image = Image.open(io.BytesIO(file)).convert("RGB")
        x, y = image.width // 2, image.height // 2
        for box in ((0, 0, x, y), (x, 0, 2 * x, y), (0, y, x, 2 * y), (x, y, 2 * x, 2 * y)):
            target = io.BytesIO()
            image.crop(box).save(target, "PNG")
            parts.append(target.getvalue())
    return parts


def _readable(file: bytes) -> bool:
    try:
        Image.open(io.BytesIO(file)).load()
    except OSError:
        return False
    return True


def judged() -> dict[str, tuple[list[str], list[str], Floats]]:
    """By the name of the set: pairs of texts (first ones, second ones) and how alike people found them."""
    files = members(GENSIM, "gensim/test/test_data", ("wordsim353.tsv", "simlex999.txt", "lee.cor", "0-1.txt"))
    sets = {
        "WordSim-353": _word_pairs(files["wordsim353.tsv"]),
        "SimLex-999": _word_pairs(files["simlex999.txt"]),
    }
    articles = files["lee.cor"].decode("latin-1").strip().split("\n")
    scores = np.array([line.split("\t") for line in files["similarities0-1.txt"].decode().strip().split("\n")], float)
    first, second = np.triu_indices(len(articles), 1)
    pairs = [articles[i] for i in first], [articles[i] for i in second]
    return {**sets, "Lee's articles": (*pairs, scores[first, second])}


def _word_pairs(file: bytes) -> tuple[list[str], list[str], Floats]:
    rows = [line.split("\t") for line in file.decode("utf-8").splitlines() if line and not line.startswith("#")]
    return [r[0] for r in rows], [r[1] for r in rows], np.array([float(r[2]) for r in rows])


def spearman(first: Floats, second: Floats) -> float:
    """Correlation of ranks; equal values share their mean rank."""
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Floats = (last - (counts - 1) / 2)[inverse]
    return ranks


def text_model(version: str) -> TextEmbedder:
    """A MiniLM version."""
    model = open_embedder(pull(Catalog.load().find(f"text-embedding@{version}"), allow_synthetic=True))
    assert isinstance(model, TextEmbedder)
    return model


def image_model(version: str) -> ImageEmbedder:
    """A CLIP version."""
    model = open_embedder(pull(Catalog.load().find(f"image-embedding@{version}"), allow_synthetic=True))
    assert isinstance(model, ImageEmbedder)
    return model


def distances() -> Table:
    """Cosines and neighbours against fp32."""
    table = Table("version", "sample", "inputs", "cosine, mean", "1st percentile", "lowest", "top-10 overlap")
    sample = fresh_texts()
    whole = pictures()
    exact, exact_images = text_model("1.0.0").embed(sample), image_model("1.0.0")
    for version in VERSIONS:
        result = compare(exact, text_model(version).embed(sample))
        rows = [(f"text-embedding@{version}", "texts not tuned on", result)]
        model = image_model(version)
        note = ", synthetic weights" if is_synthetic(model.artifact) else ""
        for name, files in (("pictures", whole), ("their quarters", crops(whole))):
            likeness = compare(exact_images.embed(files), model.embed(files))
            rows.append((f"image-embedding@{version}", name + note, likeness))
        for reference, name, r in rows:
            numbers = [f"{v:.5f}" for v in (r.mean, r.percentile, r.lowest)]
            table.add_row(reference, name, str(r.count), *numbers, f"{r.overlap:.4f}")
    return table


def agreement() -> Table:
    """Rank correlation with people's judgements."""
    sets = judged()
    table = Table("version", *(f"{name} ({len(pairs[2])} pairs)" for name, pairs in sets.items()))
    for version in ("1.0.0", *VERSIONS):
        model = text_model(version)
        scores = [cosines(model.embed(first), model.embed(second)) for first, second, _ in sets.values()]
        values = [spearman(s, pairs[2]) for s, pairs in zip(scores, sets.values(), strict=True)]
        table.add_row(f"text-embedding@{version}", *(f"{value:.4f}" for value in values))
    return table


def main() -> None:
    """Print both tables."""
    console = Console(width=150)
    console.print(distances())
    console.print("Spearman's correlation of cosine and people's judgement", agreement(), sep="\n")


if __name__ == "__main__":
    main()

"""What the reference libraries make of the pictures of the zoo.

Runs in their environment, as scripts/reference.py does::

    .env-reference/bin/python -m scripts.zoo_pictures

Writes ``tests/data/zoo/pictures.npz``: for each case in order, and each of its pictures, the zoo's projection of the library's
``pixel_values``, float32 [DIMENSIONS] and of length 1; not a number where the library takes the folder or the picture not.
"""

from __future__ import annotations

import io
import json
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict
from PIL import Image, ImageOps
from transformers import AutoImageProcessor
from transformers.utils import logging

from tests.data.zoo.pictures import (
    DIMENSIONS,
    SIDE,
    Case,
    combinations,
    mutations,
    oblongs,
    open_clip_cases,
    projection,
)

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
Vectors = NDArray[np.float32]
Prepare = Callable[[Image.Image], NDArray[np.float32]]


def main() -> None:
    """Compute everything and write it."""
    logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    arrays = {
        "combinations": vectors(combinations(), processor_of),
        "mutations": vectors(mutations(), processor_of),
        "open_clip": vectors(open_clip_cases(), transform_of),
        "oblongs": vectors(oblongs(), processor_of),
    }
    for name, found in arrays.items():
        taken = np.isfinite(found).all(axis=2).any(axis=1)
        print(f"{name}: {len(found)}, of which the library takes {taken.sum()}")
    np.savez_compressed(DATA / "zoo" / "pictures.npz", **arrays)


def vectors(cases: Iterable[Case], open_folder: Callable[[Path], Prepare]) -> Vectors:
    """[cases, pictures, DIMENSIONS]."""
    return np.stack([vectors_of(case, open_folder) for case in cases])


def vectors_of(case: Case, open_folder: Callable[[Path], Prepare]) -> Vectors:
    """[pictures, DIMENSIONS] of one case."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            prepare = open_folder(case.write(Path(folder) / "case"))
        except Exception:  # whatever a library raises: it does not take the folder
            return np.full((len(case.pictures), DIMENSIONS), np.nan, np.float32)
        return np.stack([vector_of(prepare, name, case.shape) for name in case.pictures])


def processor_of(folder: Path) -> Prepare:
    """What transformers does with a picture."""
    processor = AutoImageProcessor.from_pretrained(str(folder), backend="pil", local_files_only=True)
    return lambda image: processor(image, return_tensors="np")["pixel_values"][0]


def transform_of(folder: Path) -> Prepare:
    """What OpenCLIP does with a picture."""
    given = json.loads((folder / "open_clip_config.json").read_text())["preprocess_cfg"]
    settings = {
        **merge_preprocess_dict(PreprocessCfg(), given),
        "size": SIDE,
    }  # the model's own size replaces the file's
    transform = image_transform_v2(PreprocessCfg(**settings), is_train=False)
    return lambda image: transform(image).numpy()


def vector_of(prepare: Prepare, name: str, shape: tuple[int, int]) -> Vectors:
    """The unit vector of a picture; not a number where there is none."""
    image = Image.open(io.BytesIO((DATA / "pictures" / name).read_bytes()))
    image.load()
    try:
        values = np.asarray(prepare(ImageOps.exif_transpose(image)))
    except Exception:  # as above
        return np.full(DIMENSIONS, np.nan, np.float32)
    if values.shape != (3, *shape) or not np.isfinite(values).all():
        return np.full(DIMENSIONS, np.nan, np.float32)
    vector = values.astype(np.float64).ravel() @ projection(shape)
    with np.errstate(all="ignore"):
        return (vector / np.linalg.norm(vector)).astype(np.float32)


if __name__ == "__main__":
    main()

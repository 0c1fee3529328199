from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from models.inputs.image import decode
from models.inputs.preparation import Preparation

DATA = Path(__file__).resolve().parents[2] / "data"
REFERENCE: dict[str, dict[str, str]] = json.loads((DATA / "pictures.json").read_text())


@pytest.mark.parametrize("name", REFERENCE)
def test_pixels_are_the_bits_of_the_reference(name: str) -> None:
    pixels = decode((DATA / name).read_bytes())
    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == REFERENCE[name]["pixels"]
    values = Preparation.clip(224).values([pixels])
    assert values.shape == (1, 3, 224, 224)
    assert values.dtype == np.float32
    assert hashlib.sha256(values.astype("<f4").tobytes()).hexdigest() == REFERENCE[name]["pixel_values"]


def test_every_picture_has_a_reference() -> None:
    names = {f"pictures/{path.name}" for path in (DATA / "pictures").iterdir()}
    assert set(REFERENCE) == {*names, "golden/fastembed_image.jpeg"}


def test_the_eight_orientations_give_eight_pictures() -> None:
    assert len({REFERENCE[f"pictures/exif-{i}.jpg"]["pixels"] for i in range(1, 9)}) == 8

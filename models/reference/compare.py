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
from models.catalog.catalog import FileSource, SyntheticSource, resolve_path, store
from models.catalog.download import Silent
from models.catalog.sources import fetch
from models.embedder import Embedder
from models.engine.types import Vectors
from models.errors import ArtifactError, EmbedserveError
from models.modalities.text import TextEmbedder
from models.modalities.text_config import TextConfig
from models.reference import library
from models.reference.samples import texts

WAIT_S = 1800  # for a large model on a slow machine: 100 texts, a third of them long
NEEDED = {"fp32": 0.99999, "fp16": 0.999, "int8": 0.98}  # lowest cosine; what int8 gives is in docs/models.md
CLASS = "sentence_transformers.models"
MODULES, POOLING = "modules.json", "1_Pooling"


def reference_check(artifact: Artifact, embedder: Embedder, python: Path) -> tuple[bool, str]:
    """Whether a version's vectors are those of its library, and how near they are.

    Args:
        artifact: the version's.
        embedder: the same, loaded.
        python: of an environment with sentence-transformers (texts) or transformers (pictures).
    """
    try:
        with tempfile.TemporaryDirectory(prefix="embedserve-reference-") as place:
            folder = _folder(artifact, Path(place))
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


def _folder(artifact: Artifact, place: Path) -> Path:
    """A folder that the library opens: the owner's, where it still says how texts become vectors, or one made of the entry.

    Raises:
        ArtifactError: the version has no weights that the library could open.
    """
    source = next((s for s in artifact.spec.sources if not isinstance(s, SyntheticSource)), None)
    if source is None or not any(name.endswith("config.json") for name in source.files):
        raise ArtifactError("its source has no config.json, so that no library can open it")
    if isinstance(source, FileSource) and (resolve_path(source.folder) / MODULES).is_file():
        return resolve_path(source.folder)
    if isinstance(source, FileSource) and artifact.spec.type != "text":
        return resolve_path(source.folder)
    target = place / "model"
    target.mkdir()
    for name, path in fetch(source, store() / "files", Silent()).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).symlink_to(path.resolve())
    if artifact.spec.type == "text":
        _write_modules(artifact, target)
    return target


def _write_modules(artifact: Artifact, target: Path) -> None:
    """The files of sentence-transformers that say what the entry says, and the tokenizer as it is used."""
    config = TextConfig.model_validate(artifact.spec.config)
    if config.dense or artifact.tokenizer is None:
        raise ArtifactError("its folder is gone, and its dense layers are not written anew: put it back")
    (target / "tokenizer.json").unlink()
    (target / "tokenizer.json").write_bytes(artifact.tokenizer.read_bytes())
    kinds = (("", "Transformer"), (POOLING, "Pooling"), ("2_Normalize", "Normalize"))
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"{CLASS}.{kind}"} for i, (path, kind) in enumerate(kinds)
    ]
    hidden = json.loads((target / "config.json").read_text(encoding="utf-8")).get("hidden_size")
    documents: dict[str, Any] = {
        MODULES: listed if config.normalize else listed[:2],
        f"{POOLING}/config.json": {
            "embedding_dimension": hidden,
            "pooling_mode": list(config.poolings),
            "include_prompt": config.include_prompt,
        },
        "sentence_bert_config.json": {"max_seq_length": config.max_sequence_length},
        "tokenizer_config.json": {"tokenizer_class": "TokenizersBackend"},
        "config_sentence_transformers.json": {
            "prompts": config.prompts,
            "default_prompt_name": config.default_prompt,
            "truncate_dim": config.truncate_dim,
        },
    }
    (target / POOLING).mkdir()
    for name, document in documents.items():
        (target / name).write_text(json.dumps(document), encoding="utf-8")

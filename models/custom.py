"""Models of one's own: what lies in a folder, and how it joins the catalogue."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from models.artifact import file_sha256
from models.catalog import Catalog, FileSource, ModelSpec
from models.engine import Engine
from models.errors import ArtifactError, CatalogError

WEIGHTS = ("model.safetensors", "config.json")


def describe_folder(reference: str, origin: Path, precision: str = "fp32") -> ModelSpec:
    """The catalogue entry of a sentence-transformers or CLIP folder, or of an ONNX file with its tokenizer.

    Raises:
        ArtifactError: it holds nothing that can be served; the message says what was looked for.
    """
    model, _, version = reference.partition("@")
    if not version:
        raise ArtifactError(f"{reference!r} must be NAME@VERSION")
    folder = origin.parent if origin.suffix == ".onnx" else origin
    entry = _onnx_entry(origin) if origin.suffix == ".onnx" else _weights_entry(folder)
    names = entry.pop("files")
    source = FileSource(folder=str(folder.resolve()), files={name: file_sha256(folder / name) for name in names})
    path = f"./models/store/{model}-{version}.onnx"
    return ModelSpec(
        model=model,
        version=version,
        name=f"{model}-{version}",
        path=path,
        precision=precision,
        sources=[source],
        **entry,
    )


def _weights_entry(folder: Path) -> dict[str, Any]:
    missing = [name for name in WEIGHTS if not (folder / name).is_file()]
    if missing:
        raise ArtifactError(f"{folder} lacks {', '.join(missing)}; pickled weights (.bin) are not loaded")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kind = config.get("model_type")
    if kind == "clip_vision_model":
        settings = {"image_size": config.get("image_size", 224)}
        return {"type": "image", "dimensions": config.get("projection_dim", 512), "config": settings, "files": WEIGHTS}
    if not (folder / "tokenizer.json").is_file():
        raise ArtifactError(f"{folder} lacks tokenizer.json")
    files = (*WEIGHTS, "tokenizer.json")
    if kind == "clip_text_model":
        settings = {"max_sequence_length": config.get("max_position_embeddings", 77)}
        return {"type": "text", "dimensions": config.get("projection_dim", 512), "config": settings, "files": files}
    if kind != "bert":
        raise ArtifactError(f"model_type is {kind!r}; taken are bert, clip_vision_model and clip_text_model")
    length = _json(folder / "sentence_bert_config.json").get("max_seq_length", config["max_position_embeddings"])
    settings = {"max_sequence_length": length, "pooling": _pooling(folder)}
    return {"type": "text", "dimensions": config["hidden_size"], "config": settings, "files": files}


def _onnx_entry(path: Path) -> dict[str, Any]:
    kind = Engine(path).kind
    if kind == "image":
        return {"type": "image", "dimensions": 512, "config": {"image_size": 224}, "files": (path.name,)}
    if not (path.parent / "tokenizer.json").is_file():
        raise ArtifactError(f"{path.parent} lacks tokenizer.json, which {path.name} needs")
    config = _json(path.parent / "config.json")
    settings = {"max_sequence_length": config.get("max_position_embeddings", 512), "pooling": _pooling(path.parent)}
    dimensions = config.get("projection_dim", config.get("hidden_size", 384))
    return {"type": "text", "dimensions": dimensions, "config": settings, "files": (path.name, "tokenizer.json")}


def _pooling(folder: Path) -> str:
    settings = _json(folder / "1_Pooling" / "config.json")
    modes = [name for name, on in settings.items() if name.startswith("pooling_mode_") and on is True]
    known = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    if not modes:
        return "mean"
    if len(modes) != 1 or modes[0] not in known:
        raise ArtifactError(f"its pooling is {', '.join(modes)}; taken are mean and cls, one of them")
    return known[modes[0]]


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def add_entry(path: Path, spec: ModelSpec) -> None:
    """Write an entry into a catalogue file as its name's last version; comments and order stay.

    Raises:
        CatalogError: the version exists, or the file would no longer be a catalogue.
    """
    if spec.version in Catalog.load(path).models.get(spec.model, {}):
        raise CatalogError(f"{spec.reference} is in the catalogue already; versions do not change, add another")
    fields = spec.model_dump(mode="json", exclude={"model", "version"}, exclude_none=True)
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    start = next((i for i, line in enumerate(lines) if re.match(rf"  {re.escape(spec.model)}:\s*(#.*)?$", line)), None)
    if start is None:
        start = len(lines)
        lines.append(f"  {spec.model}:")
    end = next((i for i in range(start + 1, len(lines)) if re.match(r"\s{0,2}\S", lines[i])), len(lines))
    block = yaml.safe_dump({spec.version: fields}, sort_keys=False, default_style=None, width=110)
    block = re.sub(r"\A[^\n]*:", f'"{spec.version}":', block)
    lines[end:end] = ["    " + line for line in block.rstrip("\n").split("\n")]
    text = "\n".join(lines) + "\n"
    trial = path.with_name(path.name + ".partial")
    trial.write_text(text, encoding="utf-8")
    try:
        Catalog.load(trial)
    except CatalogError:
        trial.unlink()
        raise
    trial.replace(path)

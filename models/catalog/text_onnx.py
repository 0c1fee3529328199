"""A finished ONNX graph of a text encoder: what it says, what the files beside it say, and what it can be asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx

from models.catalog.folder import ASSUMED, ModelFolder
from models.catalog.modules import FILE as MODULES
from models.catalog.modules import POOLINGS
from models.catalog.positions import positions_of
from models.catalog.text_folder import text_settings
from models.engine.engine import Engine
from models.errors import ArtifactError
from models.graph.append import token_output
from models.inputs.token_ids import pad
from models.modalities import text_graph
from models.validation import one_of

TOKENIZERS = ("tokenizer.json", "tokenizer_config.json")


def root_of(path: Path) -> Path:
    """The model folder that an ONNX file belongs to: its own, or the one above where it lies in ``onnx/``."""
    beside = [MODULES, "config.json", *TOKENIZERS]
    for folder in (path.parent, path.parent.parent):
        if any((folder / name).is_file() for name in beside):
            return folder
    return path.parent


def text_onnx_entry(path: Path, engine: Engine, folder: ModelFolder) -> dict[str, Any]:
    """Modality, dimensions, ``config`` and files of the catalogue entry; dimensions are found by running the graph.

    Raises:
        ArtifactError: it cannot be served; the message says why, and what would help.
    """
    _require_free_shapes(path, engine)
    pooled = engine.graph.output if not engine.graph.per_token else None
    tokens = token_output(onnx.load(str(path), load_external_data=False))
    listed = (folder.path / MODULES).exists()
    in_graph = tokens is not None and (listed or pooled is None)
    if in_graph and not listed and folder.wishes.pooling is None:
        raise ArtifactError(
            f"{path.name} gives a vector for each token, and no {MODULES} says how they are pooled; say it with --pooling: "
            f"{one_of(POOLINGS)}, or several joined by +"
        )
    config = folder.json("config.json")
    settings = text_settings(folder, config, positions_of(config))
    if in_graph:
        settings["in_graph"] = True
    else:
        _require_own_vectors(path, str(pooled), folder, settings)
    width = _width(path, engine, settings, tokens if in_graph else None)
    _require_length(path, engine, settings["max_sequence_length"])
    files = [str(path.relative_to(folder.path)), "tokenizer.json"]
    files += [f"{layer['weights']}/model.safetensors" for layer in settings.get("dense", ())]
    return {"type": "text", "dimensions": width, "config": settings, "files": files}


def _require_free_shapes(path: Path, engine: Engine) -> None:
    fixed = {name: shape for name, shape in engine.shapes.items() if any(isinstance(size, int) for size in shape[:2])}
    if fixed:
        name, shape = next(iter(fixed.items()))
        raise ArtifactError(
            f"{path.name} takes {name} of shape {shape} only; export it with dynamic axes for batch and length, as texts "
            "come in all lengths and several at a time"
        )


def _require_own_vectors(path: Path, output: str, folder: ModelFolder, settings: dict[str, Any]) -> None:
    """A graph that pools by itself: take its vectors, unless files ask for steps that it may or may not hold."""
    for key, said in (("dense", "Dense"), ("truncate_dim", "truncate_dim"), ("prompt_tokens", "include_prompt: false")):
        if key in settings:
            raise ArtifactError(
                f"{path.name} gives whole vectors only ({output}), so that nothing tells whether {said} is part of it; "
                "export it with token_embeddings as an output"
            )
    if settings.get("normalize", True) is False:
        raise ArtifactError(f"{path.name} gives whole vectors ({output}); they are served with length 1 only")
    settings.pop("include_prompt", None)
    settings["pooling"] = "mean"  # of no meaning for it
    folder.note("pooling", f"the graph's own: its output {output} is the vector", f"{ASSUMED}: {path.name}")


def _width(path: Path, engine: Engine, settings: dict[str, Any], tokens: str | None) -> int:
    """Dimensions of the vectors: of the graph's own, or of what follows its output ``tokens``."""
    ids, mask = pad([np.ones(3, np.int32)])
    values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    feeds = {name: values[name].astype(dtype) for name, dtype in engine.inputs.items()}
    try:
        found = engine.graph.session.run([tokens or engine.graph.output], feeds)[0]
    except Exception as error:  # ORT raises many types when a graph is not what its declarations say
        raise ArtifactError(f"{path.name} does not run on three tokens: {_first_line(error)}") from error
    width = int(found.shape[-1])
    if tokens is None:
        return width
    pooling = settings["pooling"]
    width *= 1 if isinstance(pooling, str) else len(pooling)
    for layer in settings.get("dense", ()):
        if layer["inputs"] != width:
            raise ArtifactError(
                f"{layer['weights']}/config.json: in_features is {layer['inputs']}, and it gets {width}"
            )
        width = int(layer["outputs"])
    return min(width, int(settings.get("truncate_dim", width)))


def _require_length(path: Path, engine: Engine, length: int) -> None:
    """Run the longest text; where it does not run, find out which does."""
    problem = _attempt(engine, length)
    if problem is None:
        return
    low, high = 3, length
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _attempt(engine, middle) is None else (low, middle)
    raise ArtifactError(
        f"{path.name} does not run on {length} tokens, the longest text that its files allow ({problem}); the longest that "
        f"runs has {low}: say --max-length {low}"
    )


def _attempt(engine: Engine, length: int) -> str | None:
    try:
        vector = text_graph.run_padded(engine, *pad([np.ones(length, np.int32)]))
    except Exception as error:  # as above
        return _first_line(error)
    return None if np.isfinite(vector).all() else "its numbers are not finite"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]

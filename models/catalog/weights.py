"""Reads weights as float32: one safetensors file or several, in float32, float16 or bfloat16."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from models.catalog.fields import read_json
from models.errors import ArtifactError
from models.graph.linear import Weights

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
OPEN_CLIP = "open_clip_model.safetensors"
HALF = "BF16"
TAKEN = frozenset({"F32", "F16", "F64", HALF})


def weight_files(folder: Path) -> tuple[str, ...]:
    """The names of a folder's weight files, with the index where there are several; empty where there are none.

    Raises:
        ArtifactError: the index is damaged, or names a file that is not there.
    """
    if (folder / SINGLE).is_file():
        return (SINGLE,)
    if not (folder / INDEX).is_file():
        return (OPEN_CLIP,) if (folder / OPEN_CLIP).is_file() else ()
    names = sorted(set(_weight_map(folder / INDEX).values()))
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise ArtifactError(f"{INDEX}: weight_map names {name!r:.80}, which is no file in {folder}")
    return (INDEX, *names)


def read_weights(files: Mapping[str, Path]) -> Weights:
    """All weights by their names, float32.

    Args:
        files: the path of each file that ``weight_files`` names; others are left alone.

    Raises:
        ArtifactError: a file is no safetensors file, a weight is missing, or is of a type that is no float.
    """
    if INDEX not in files:
        return read_file(next(path for name, path in files.items() if name in (SINGLE, OPEN_CLIP)))
    weights: Weights = {}
    wanted = _weight_map(files[INDEX])
    for name in sorted(set(wanted.values())):
        weights |= {key: array for key, array in read_file(files[name]).items() if wanted.get(key) == name}
    if missing := sorted(set(wanted) - set(weights)):
        raise ArtifactError(f"{INDEX}: weight_map names {missing[0]} in {wanted[missing[0]]}, which lacks it")
    return weights


def _weight_map(path: Path) -> dict[str, str]:
    found = read_json(path).get("weight_map")
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise ArtifactError(f"{INDEX}: weight_map must be an object that maps names of weights to files")
    return found


def read_file(path: Path) -> Weights:
    """The weights of one file, float32.

    Raises:
        ArtifactError: it does not load.
    """
    try:
        with safe_open(path, framework="np") as file:
            types = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 - it is no dict
            weights = {name: file.get_tensor(name).astype(np.float32) for name, kind in types.items() if kind != HALF}
    except Exception as error:  # safetensors raises its own type, OSError and ValueError
        raise ArtifactError(f"its files do not load: {path.name}: {error}") from error
    halves = [name for name, kind in types.items() if kind == HALF]
    return weights | _read_halves(path, halves) if halves else weights


def _read_halves(path: Path, names: list[str]) -> Weights:
    """bfloat16, which numpy does not have: the upper half of a float32. The file's header is checked before."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(length))
    content = np.memmap(path, np.uint8, "r", offset=8 + length)
    return {name: _widened(content, header[name]) for name in names}


def _widened(content: NDArray[np.uint8], entry: dict[str, Any]) -> NDArray[np.float32]:
    start, end = entry["data_offsets"]
    halves = np.frombuffer(content[start:end].tobytes(), "<u2").astype(np.uint32)
    return (halves << 16).view(np.float32).reshape(entry["shape"])

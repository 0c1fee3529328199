"""modules.json of sentence-transformers: which modules run, in which order, and where their configuration lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from models.catalog.dense_config import read_dense
from models.catalog.fields import Fields, read_document
from models.catalog.folder import ASKED, ASSUMED, ModelFolder
from models.errors import ArtifactError, ConfigError
from models.files import below
from models.graph.steps import Pooling
from models.validation import one_of

FILE = "modules.json"
SERVED = ("Transformer", "Pooling", "Dense", "Normalize", "Dropout")
POOLINGS: tuple[str, ...] = get_args(Pooling)
# The older spelling, in the order in which sentence-transformers writes several of them one after the other.
OLD_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class Modules:
    """What runs, as the folder says it."""

    transformer: str = ""  # the folder of the encoder and its tokenizer
    pooling: tuple[str, ...] = ()
    include_prompt: bool = True
    dense: tuple[dict[str, Any], ...] = ()  # as ``config.dense`` of a catalogue entry
    normalized: bool = False
    listed: bool = True  # whether there is a modules.json


def transformer_path(folder: Path) -> str:
    """The folder of the encoder within a model folder, as far as a look at modules.json tells; empty for the same."""
    document = read_document(folder / FILE)
    first = document[0] if isinstance(document, list) and document else {}
    path = first.get("path", "") if isinstance(first, dict) else ""
    return path if isinstance(path, str) and path != "." and ".." not in PurePosixPath(path).parts else ""


def read_modules(folder: ModelFolder) -> Modules:
    """The modules of a folder; those of sentence-transformers' default where it has no modules.json.

    Raises:
        ArtifactError: a module, or a key of its configuration, is not served; the message names file and key.
    """
    document = read_document(folder.path / FILE)
    if document is None:
        return _without_list(folder)
    if not isinstance(document, list) or not document:
        raise ArtifactError(f"{FILE} must hold a list of modules")
    steps = [_step(folder, Fields(entry, f"{FILE}[{i}]"), i) for i, entry in enumerate(map(_object, document))]
    kinds = [kind for kind, _ in steps if kind != "Dropout"]  # which does nothing in inference
    if len({name for _, name in _names(document)}) != len(document):
        raise ArtifactError(f"{FILE} gives two modules the same name, so that one would not run")
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in _tails(len(kinds) - 2):
        raise ArtifactError(
            f"{FILE} lists {', '.join(kinds)}; served are Transformer, Pooling, any number of Dense, and Normalize at the "
            "end or not at all"
        )
    paths = dict(steps)
    pooling, include = _pooling(folder, paths["Pooling"])
    return Modules(
        paths["Transformer"],
        pooling,
        include,
        tuple(read_dense(folder, path) for kind, path in steps if kind == "Dense"),
        "Normalize" in kinds,
    )


def _without_list(folder: ModelFolder) -> Modules:
    """sentence-transformers' own default, and nothing that a forgotten modules.json might have said otherwise."""
    if folder.has("1_Pooling/config.json") and folder.wishes.pooling is None:
        raise ArtifactError(
            f"1_Pooling/config.json is there, and no {FILE} says that it runs; add {FILE}, or say --pooling"
        )
    folder.note("normalised", "no", f"{ASSUMED}: there is no {FILE}")
    if folder.wishes.pooling is None:
        folder.note("pooling", "mean", f"{ASSUMED}: there is no {FILE}")
    return Modules(pooling=("mean",), listed=False)


def _object(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ArtifactError(f"{FILE} must hold objects with type and path, not {entry!r:.60}")
    return entry


def _names(document: list[dict[str, Any]]) -> list[tuple[int, Any]]:
    return [(i, str(entry.get("name", i))) for i, entry in enumerate(document)]


def _tails(count: int) -> list[list[str]]:
    return [["Dense"] * count, [*["Dense"] * (count - 1), "Normalize"]]


def _step(folder: ModelFolder, fields: Fields, index: int) -> tuple[str, str]:
    """The class and the folder of one module."""
    full = fields.take("type", str, "")
    package, _, kind = full.rpartition(".")
    if not package.startswith("sentence_transformers.") or kind not in SERVED:
        raise ArtifactError(
            f"{fields.where}: type is {full!r:.120}; served are {', '.join(SERVED)} of sentence_transformers. Export the "
            "whole model to ONNX with what it does, and add that file"
        )
    _require_name(fields)
    path = fields.take("path", str, "")
    if path:
        try:
            below(folder.path, path)
        except ConfigError as error:
            raise ArtifactError(f"{fields.where}: {error}") from None
    fields.require_empty("kwargs")
    fields.ignore(("idx",))
    fields.end()
    if kind == "Normalize" and path:
        settings = folder.fields(f"{path}/config.json")
        settings.require("module_input_name", "sentence_embedding")
        settings.require("module_output_name", "sentence_embedding")
        settings.end()
    if path not in ("", ".") and not (folder.path / path).is_dir() and kind not in ("Normalize", "Dropout"):
        raise ArtifactError(f"{fields.where}: there is no folder {path}")
    folder.note(f"module {index}", kind, FILE)
    return kind, "" if path == "." else str(PurePosixPath(path)) if path else ""


def _require_name(fields: Fields) -> None:
    """Refuse a module that the library cannot load: it looks for a name, which may hold no point, and a path."""
    name = fields.take("name", str, "")
    if not name or "." in name:
        raise ArtifactError(f'{fields.where}: name must be a text without a point, such as "0", not {name!r:.60}')
    if "path" not in fields:
        raise ArtifactError(f'{fields.where}: path is missing; it is the folder of the module, "" for that of {FILE}')


def _pooling(folder: ModelFolder, path: str) -> tuple[tuple[str, ...], bool]:
    name = f"{path}/config.json"
    if not path or not folder.has(name):
        raise ArtifactError(f"{FILE} lists Pooling, and {name.lstrip('/')} does not exist")
    fields = folder.fields(name)
    sizes = [fields.take(key, int, 0) for key in ("word_embedding_dimension", "embedding_dimension")]
    if not any(sizes):
        raise ArtifactError(f"{name} lacks embedding_dimension (or word_embedding_dimension), which every pooling has")
    old = tuple(mode for key, mode in OLD_POOLINGS.items() if fields.take(key, bool, False))
    given = fields.raw("pooling_mode")
    modes = _modes(given, name) if given is not None else old
    include = fields.take("include_prompt", bool, True)
    fields.end()
    if not modes:
        folder.note("pooling", "mean", f"{ASSUMED}: {name} names none")
        return ("mean",), include
    folder.note("pooling", " + ".join(modes), name)
    return modes, include


def _modes(given: Any, name: str) -> tuple[str, ...]:
    modes = tuple(given) if isinstance(given, list) else (given,)
    if not modes or any(mode not in POOLINGS for mode in map(str, modes)):
        raise ArtifactError(f"{name}: pooling_mode is {given!r:.80}; served are {one_of(POOLINGS)}, or a list of them")
    return tuple(map(str, modes))


def chosen_pooling(folder: ModelFolder, modules: Modules) -> tuple[str, ...]:
    """The pooling of the folder, or the one that its owner asks for.

    Raises:
        ArtifactError: an asked one does not exist.
    """
    wished = folder.wishes.pooling
    if wished is None:
        return modules.pooling
    if not wished or any(mode not in POOLINGS for mode in wished):
        raise ArtifactError(
            f"--pooling is {'+'.join(wished)!r:.80}; it must be {one_of(POOLINGS)}, or some joined by +"
        )
    folder.note("pooling", " + ".join(wished), ASKED)
    return wished

"""Making a version's artifact of the files of one source."""

from __future__ import annotations

import json
import shutil
from pathlib import Path, PurePosixPath

import onnx

from models.catalog.artifact import Artifact, open_artifact, tokenizer_path
from models.catalog.build import build_exported, build_random, build_weights, dense_weights, recipe
from models.catalog.download import Reporter
from models.catalog.head_weights import head_of
from models.catalog.map_file import fetched_map
from models.catalog.model_spec import ModelSpec
from models.catalog.paths import store
from models.catalog.record import begin, record_path
from models.catalog.source_entry import Source, SyntheticSource
from models.catalog.sources import fetch
from models.errors import ArtifactError
from models.file_digest import file_sha256
from models.files import replacing, write_whole
from models.graph.append import append_head
from models.graph.builder import save
from models.graph.onnx_file import contents, load
from models.graph.precision import precision_of
from models.graph.space_map import SpaceMap, append_map
from models.inputs.siglip_words import FILE as SIGLIP_WORDS
from models.inputs.siglip_words import siglip_tokenizer
from models.inputs.tokenizer_file import clip_tokenizer
from models.inputs.tokenizer_rewrite import TokenizerChanges, rewritten_bytes

TOKENIZERS = ("tokenizer.json", SIGLIP_WORDS)


def make(spec: ModelSpec, source: Source, reporter: Reporter) -> Artifact:
    """Fetch the files of ``source``, and write the graph, its tokenizer and its record into the store.

    Raises:
        ArtifactError: they make no such artifact.
        SourceError: the source does not give them.
        OSError: the store cannot be written.
    """
    target = spec.graph
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, SyntheticSource):
        reporter.note(f"{spec.reference}: building {source} (random weights, no meaning)")
        if source.tokenizer is not None:
            files = fetch(source.tokenizer, store() / "files", reporter)
            write_whole(tokenizer_path(target), clip_tokenizer(next(iter(files.values()))).encode())
        model = build_random(spec, source.synthetic)
        begin(target)
        save(model, target)
    else:
        mapping = None if spec.adapted is None else fetched_map(spec.adapted, reporter)
        _make_pretrained(spec, fetch(source, store() / "files", reporter), mapping, reporter)
    artifact = open_artifact(spec, target)
    if spec.hash not in (None, artifact.hash) and not isinstance(source, SyntheticSource):
        target.unlink()
        raise ArtifactError(f"its files make an artifact with hash {artifact.hash}, the catalogue says {spec.hash}")
    record = {
        "hash": artifact.hash,
        "graph": file_sha256(target),
        "source": str(source),
        "synthetic": isinstance(source, SyntheticSource),
        "recipe": recipe(spec),
    }
    write_whole(record_path(target), json.dumps(record, indent=2).encode())
    return artifact


def _make_pretrained(spec: ModelSpec, files: dict[str, Path], mapping: SpaceMap | None, reporter: Reporter) -> None:
    target = spec.graph
    tokenizer = next((path for name, path in files.items() if PurePosixPath(name).name in TOKENIZERS), None)
    if tokenizer is not None:
        _write_tokenizer(spec, tokenizer, tokenizer_path(target))
    ready = next((path for name, path in files.items() if name.endswith(".onnx")), None)
    if ready is not None and contents(ready).external:
        raise ArtifactError(f"{ready.name} keeps its weights in other files; save it as a single file")
    if ready is None:
        reporter.note(f"{spec.reference}: building its {spec.precision} graph")
        model = build_weights(spec, files)
    elif spec.variant is not None:
        reporter.note(f"{spec.reference}: building its {spec.precision} graph of the weights in {ready.name}")
        model = build_exported(spec, load(ready))
    elif precision_of(spec.precision).rewrite or spec.config.get("in_graph") or mapping is not None:
        own = spec if mapping is None else spec.model_copy(update={"dimensions": mapping.inputs})
        model = finished(own, load(ready), files, reporter)
    else:
        begin(target)
        _copy(ready, target)
        return
    if mapping is not None and spec.adapted is not None:
        model = append_map(model, mapping, spec.adapted.to)
    begin(target)
    save(model, target)


def finished(spec: ModelSpec, model: onnx.ModelProto, files: dict[str, Path], reporter: Reporter) -> onnx.ModelProto:
    """A finished graph in the precision of its entry, with what follows its token vectors.

    Raises:
        ArtifactError: it cannot be rewritten so.
    """
    if rewrite := precision_of(spec.precision).rewrite:
        reporter.note(f"{spec.reference}: rewriting its graph in {spec.precision}")
        model = rewrite(model)
    if spec.config.get("in_graph"):
        head = head_of(spec.config, dense_weights(spec.config, files))
        model = append_head(model, head, spec.dimensions, spec.config.get("token_output"))
    return model


def _write_tokenizer(spec: ModelSpec, source: Path, target: Path) -> None:
    """The tokenizer as the entry says it is used."""
    if spec.config.get("siglip_words"):
        write_whole(target, siglip_tokenizer(source.read_bytes()).encode())
        return
    changes = spec.config.get("tokenizer")
    if changes is None:
        _copy(source, target)
        return
    try:
        content = rewritten_bytes(source.read_bytes(), TokenizerChanges.model_validate(changes))
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{source.name} is no tokenizer.json: {error}") from error
    write_whole(target, content)


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as partial:
        shutil.copyfile(source, partial)

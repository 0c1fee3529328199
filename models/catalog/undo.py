"""What a model that is being added leaves behind when it does not get into the catalogue: nothing, however it ends."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from models.catalog.artifact import tokenizer_path
from models.catalog.catalog import Catalog
from models.catalog.model_spec import ModelSpec
from models.catalog.paths import catalog_path, resolve_path, store
from models.catalog.source_entry import FileSource, PackageSource, SyntheticSource
from models.catalog.sources import place
from models.catalog.store_fault import store_fault
from models.catalog.turns import failure_path
from models.errors import ConfigError, EmbedserveError, StoreError
from models.files import PARTIAL, PRIVATE, below, partial_path, write_whole

ENDINGS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
JOURNAL, LOCK = "adding.json", "adding.lock"  # in the store: what the add that is under way brings; held by its process
WAIT_S = 600  # for another add, whose graph may be large


@contextlib.contextmanager
def nothing_left(spec: ModelSpec) -> Iterator[None]:
    """Remove the files that a model brought into the store, unless the block ends with its entry in the catalogue, or well.

    What was there before stays. Which files these are is written down first: where this process is killed, the next one that
    opens the store removes them. One model at a time is added to a store.

    Raises:
        StoreError: the store cannot be written, or another model is being added for minutes.
    """
    lock = _lock(WAIT_S)
    try:
        store().mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise StoreError(f"another model is being added to {store()}; try again when that has ended") from None
    except OSError as error:
        raise store_fault(error) or error from error
    try:
        _undo_last()
        brought = [path for path in _files(spec) if not path.exists()]
        with _signals_raise() as ignore:
            try:
                _write_down(spec, brought)
                yield
                _journal().unlink()
            except BaseException:
                ignore()
                _undo_last()
                raise
    finally:
        lock.release()


def clear_interrupted() -> None:
    """Remove what adds that were killed brought into the store; those under way, and stores of others, are left alone."""
    if not (_journal().exists() or partial_path(_journal()).exists()):
        return
    with contextlib.suppress(Timeout, OSError, EmbedserveError), _lock(0):
        _undo_last()


def _lock(wait_s: float) -> FileLock:
    return FileLock(store() / LOCK, timeout=wait_s, mode=PRIVATE)


def _journal() -> Path:
    return store() / JOURNAL


def _write_down(spec: ModelSpec, brought: list[Path]) -> None:
    names = [str(path.relative_to(store())) for path in brought]
    document = {"reference": spec.reference, "catalog": str(catalog_path().absolute()), "files": names}
    write_whole(_journal(), json.dumps(document, indent=2).encode(), PRIVATE)


def _undo_last() -> None:
    """Remove the files of the journal, unless its model is in the catalogue: then only its last step was missing.

    Raises:
        CatalogError: its catalogue cannot be read, so that nothing tells whether it is.
    """
    partial_path(_journal()).unlink(missing_ok=True)
    try:
        document: dict[str, Any] = json.loads(_journal().read_text(encoding="utf-8"))
        catalog, reference = Path(document["catalog"]), str(document["reference"])
        paths = [below(store(), name) for name in document["files"]]
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError, ConfigError):  # written by somebody else: nothing is removed on its word
        _journal().unlink()
        return
    specs = Catalog.load(catalog).specs() if catalog.exists() else []
    partial_path(catalog).unlink(missing_ok=True)
    if all(spec.reference != reference for spec in specs):
        needed = {path for spec in specs for path in _sources(spec)}
        for path in paths:
            if path not in needed:
                path.unlink(missing_ok=True)
    _journal().unlink()


def _files(spec: ModelSpec) -> list[Path]:
    """All paths in the store that are this model's alone."""
    graph = spec.graph
    own = [graph, graph.with_suffix(".json"), graph.with_suffix(".lock"), tokenizer_path(graph)]
    own.append(failure_path(graph.with_suffix("")))
    own += [path for source in spec.sources if isinstance(source, FileSource) for path in _places(source.files)]
    if spec.adapted is not None and isinstance(source := spec.adapted.source, FileSource):
        own += [*_places(source.files), *(resolve_path(f"{source.folder}/{name}") for name in source.files)]
    return [*own, *(path.with_name(path.name + PARTIAL) for path in own)]


def _sources(spec: ModelSpec) -> list[Path]:
    """Where the files of all sources lie, those of tokenizers in packages of their own too."""
    packages = [source.tokenizer for source in spec.sources if isinstance(source, PackageSource | SyntheticSource)]
    listed = [source for source in spec.sources if not isinstance(source, SyntheticSource)]
    maps = [] if spec.adapted is None else [spec.adapted.source]
    return [path for source in (*listed, *packages, *maps) if source is not None for path in _places(source.files)]


def _places(files: dict[str, str]) -> list[Path]:
    return [place(store() / "files", name, sha256) for name, sha256 in files.items()]


@contextlib.contextmanager
def _signals_raise() -> Iterator[Any]:
    """Let the signals that end a process pass as an exception; yields what makes them wait until the block has ended."""

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signal calls it
        ignore()
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    def ignore() -> None:
        for number in former:
            signal.signal(number, signal.SIG_IGN)

    former: dict[int, Any] = {}
    with contextlib.suppress(ValueError):  # not the main thread, which alone is interrupted
        for ending in ENDINGS:
            if signal.getsignal(ending) != signal.SIG_IGN:  # `nohup` ignores one: so it stays
                former[ending] = signal.signal(ending, end)
    try:
        yield ignore
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)

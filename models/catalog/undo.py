"""What a model that is being added leaves behind when it does not get into the catalogue: nothing."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from models.catalog.artifact import tokenizer_path
from models.catalog.catalog import FileSource, ModelSpec, store
from models.catalog.sources import place
from models.catalog.turns import failure_path
from models.files import partial_path

ENDINGS = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def nothing_left(spec: ModelSpec) -> Iterator[None]:
    """Remove the files that a model brought into the store, unless the block ends well.

    What was there before stays. A process that is killed with SIGKILL leaves files that the next try builds anew.
    """
    before = {path for path in _files(spec) if path.exists()}
    with _signals_raise():
        try:
            yield
        except BaseException:
            for path in _files(spec):
                if path not in before:
                    path.unlink(missing_ok=True)
            raise


def _files(spec: ModelSpec) -> list[Path]:
    """All paths in the store that are this model's alone."""
    graph = spec.graph
    own = [graph, graph.with_suffix(".json"), graph.with_suffix(".lock"), tokenizer_path(graph)]
    own.append(failure_path(graph.with_suffix("")))
    for source in spec.sources:
        if isinstance(source, FileSource):
            own += [place(store() / "files", name, sha256) for name, sha256 in source.files.items()]
    return [*own, *map(partial_path, own)]


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """Let the signals that end a process pass as an exception, so that what has begun is cleaned up."""

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signal calls it
        raise SystemExit(128 + number)

    try:
        former = {number: signal.signal(number, end) for number in ENDINGS}
    except ValueError:  # not the main thread, which alone is interrupted
        yield
        return
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)

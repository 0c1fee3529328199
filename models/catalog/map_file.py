"""The file that holds the map of an adapted version."""

from __future__ import annotations

from models.catalog.download import Reporter
from models.catalog.paths import store
from models.catalog.source_entry import Adapted
from models.catalog.sources import fetch
from models.catalog.weights import read_file
from models.errors import SourceError
from models.graph.space_map import SpaceMap, of_tensors

FOLDER = "./models/store/maps"  # where `models align` puts them
ENDING = ".safetensors"


def fetched_map(adapted: Adapted, reporter: Reporter) -> SpaceMap:
    """The map of an adapted version.

    Raises:
        SourceError: its source does not give it.
        ArtifactError: the file is no map.
    """
    try:
        files = fetch(adapted.source, store() / "files", reporter)
    except SourceError as error:
        raise type(error)(f"the map into the space of {adapted.to}: {error}") from error
    ((name, path),) = files.items()
    return of_tensors(read_file(path), name)

"""``embedserve embed``: one vector, on this machine, without Ray."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deployments.cli.console_reporter import console_reporter
from deployments.cli.embed_source import read_source
from deployments.cli.synthetic_warning import warn_embedded
from models.errors import ArtifactError, InputError
from models.inputs.prompted import Prompted

if TYPE_CHECKING:
    from models.modalities.base import Item

DEFAULTS = {"text": "text-embedding@1.0.0", "image": "image-embedding@1.0.0"}


def embed(
    source: Annotated[str, typer.Argument(help="a text, or the path of a file that holds a picture or a text")],
    model: Annotated[
        str | None, typer.Option(help="name@version; text-embedding or image-embedding by default")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="save the vector here as .npy instead of printing it")] = None,
    profile: Annotated[str, typer.Option(help="production refuses synthetic weights")] = "development",
    text: Annotated[
        bool, typer.Option("--text", help="embed the words themselves, even if a file has that name")
    ] = False,
    prompt: Annotated[str | None, typer.Option(help="one of the model's prompts, to stand before the text")] = None,
) -> None:
    """Embed one text or picture on this machine, without a service and without Ray."""
    import numpy as np
    import orjson

    from models.catalog.catalog import Catalog
    from models.catalog.record import is_synthetic
    from models.catalog.store import pull
    from models.embedder import open_embedder

    catalog = Catalog.load()
    asked = catalog.find(model) if model else None
    read = read_source(source, asked.modality if asked else None, as_text=text)
    spec = asked or catalog.find(DEFAULTS[read.modality])
    stderr = Console(stderr=True)
    with console_reporter() as reporter:
        artifact = pull(spec, allow_synthetic=profile == "development", reporter=reporter)
    if read.hint:
        stderr.print(f"[bold yellow]note:[/] {escape(read.hint)}", highlight=False, soft_wrap=True)
    vector = open_embedder(artifact).embed_items([_with_prompt(read.item, prompt)])[0]
    if is_synthetic(artifact):
        warn_embedded(stderr, spec.reference)
    if output is None:
        print(orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY).decode())
        return
    try:
        with output.open("wb") as file:
            np.save(file, vector)
    except OSError as error:
        raise ArtifactError(f"cannot write {output}: {error.strerror}") from error
    stderr.print(f"{spec.reference} {artifact.hash[:12]} → {output} ({vector.size} × float32)")


def _with_prompt(item: Item, prompt: str | None) -> Item:
    """The item with a named prompt, where one is asked for.

    Raises:
        InputError: it is a picture.
    """
    if prompt is None:
        return item
    if not isinstance(item, str):
        raise InputError("--prompt is for texts; leave it out")
    return Prompted(prompt, item)

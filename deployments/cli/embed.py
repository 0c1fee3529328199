"""``embedserve embed``: one vector, on this machine, without Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deployments.cli.console_reporter import console_reporter
from deployments.cli.synthetic_warning import warn_embedded
from models.errors import ArtifactError, InputError

DEFAULTS = {"text": "text-embedding@1.0.0", "image": "image-embedding@1.0.0"}
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}


def embed(
    source: Annotated[str, typer.Argument(help="a text, or the path of a picture")],
    model: Annotated[
        str | None, typer.Option(help="name@version; text-embedding or image-embedding by default")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="save the vector here as .npy instead of printing it")] = None,
    profile: Annotated[str, typer.Option(help="production refuses synthetic weights")] = "development",
) -> None:
    """Embed one text or picture on this machine, without a service and without Ray."""
    import numpy as np
    import orjson

    from models.catalog.catalog import Catalog
    from models.catalog.store import is_synthetic, pull
    from models.embedder import open_embedder

    path = Path(source)
    picture = path.suffix.lower() in PICTURES
    spec = Catalog.load().find(model or DEFAULTS["image" if picture else "text"])
    if spec.modality.from_files and not path.is_file():
        raise InputError(f"{source} is no file; {spec.reference} embeds {spec.modality.noun}")
    stderr = Console(stderr=True)
    with console_reporter() as reporter:
        artifact = pull(spec, allow_synthetic=profile == "development", reporter=reporter)
    if not source:
        raise InputError("the text is empty")
    item = path.read_bytes() if spec.modality.from_files else source
    vector = open_embedder(artifact).embed_items([item])[0]
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

"""``embedserve embed``: one vector, offline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
from rich.console import Console

from deployments.cli.models import console_reporter
from models.catalog.catalog import Catalog
from models.catalog.store import is_synthetic, pull
from models.embedder import TextEmbedder, open_embedder
from models.errors import ArtifactError, InputError

DEFAULTS = {"text": "text-embedding@1.0.0", "image": "image-embedding@1.0.0"}
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}


def embed(source: str, model: str | None, output: Path | None, profile: str) -> None:
    """Print a vector as JSON, or save it as float32 .npy.

    Raises:
        EmbedserveError: no such model, no such file, or no picture.
    """
    path = Path(source)
    picture = path.suffix.lower() in PICTURES
    spec = Catalog.load().find(model or DEFAULTS["image" if picture else "text"])
    if spec.type == "image" and not path.is_file():
        raise InputError(f"{source} is no file; {spec.reference} embeds pictures")
    stderr = Console(stderr=True)
    with console_reporter() as reporter:
        artifact = pull(spec, allow_synthetic=profile == "development", reporter=reporter)
    embedder = open_embedder(artifact)
    if isinstance(embedder, TextEmbedder):
        if not source:
            raise InputError("the text is empty")
        vector = embedder.embed([source])[0]
    else:
        vector = embedder.embed([path.read_bytes()])[0]
    if is_synthetic(artifact):
        stderr.print(f"[bold yellow]warning:[/] {spec.reference} has synthetic weights: this vector carries no meaning")
    if output is None:
        print(orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY).decode())
        return
    try:
        with output.open("wb") as file:
            np.save(file, vector)
    except OSError as error:
        raise ArtifactError(f"cannot write {output}: {error.strerror}") from error
    stderr.print(f"{spec.reference} {artifact.hash[:12]} → {output} ({vector.size} × float32)")

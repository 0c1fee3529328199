"""``embedserve models compare``: how alike the vectors of two versions are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deployments.cli.json_output import AsJson, print_json
from models.errors import ArtifactError


def compare(
    first: str,
    second: str,
    sample: Annotated[Path, typer.Argument(exists=True, help="A text file, one a line, or a folder of pictures.")],
    plot: Annotated[Path | None, typer.Option(help="Write the distribution of cosines here, PNG.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say how alike two versions' vectors are, and how fast both are."""
    from models import fidelity
    from models.catalog.catalog import Catalog
    from models.catalog.store import pull
    from models.comparison import embed_sample, milliseconds, plot_cosines, read_sample
    from models.embedder import open_embedder

    catalog = Catalog.load()
    pair = [open_embedder(pull(catalog.find(name), allow_synthetic=True)) for name in (first, second)]
    inputs = read_sample(sample, pair[0])
    vectors = [embed_sample(embedder, inputs) for embedder in pair]
    if vectors[0].shape != vectors[1].shape:
        raise ArtifactError(f"{first} and {second} give vectors of different sizes")
    result = fidelity.compare(*vectors)
    table = Table(
        "inputs", "cosine, mean", "1st percentile", "lowest", "top-10 overlap", f"{first}, ms", f"{second}, ms"
    )
    took = [milliseconds(embedder) for embedder in pair]
    times = [f"{ms:.2f}" for ms in took]
    numbers = [f"{v:.5f}" for v in (result.mean, result.percentile, result.lowest, result.overlap)]
    table.add_row(str(result.count), *numbers, *times)
    if as_json:
        cosines = {"mean": result.mean, "first_percentile": result.percentile, "lowest": result.lowest}
        alike = {"inputs": result.count, "cosine": cosines, "top10_overlap": result.overlap}
        print_json({**alike, "ms": dict(zip((first, second), took, strict=True))})
    else:
        Console().print(table)
    if plot is not None:
        plot_cosines(fidelity.cosines(*vectors), plot, f"{first} and {second}")

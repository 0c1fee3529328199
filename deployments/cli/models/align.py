"""``embedserve models align``: a version whose vectors are mapped into the space of another one's index."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from deployments.cli.console_reporter import console_reporter
from deployments.cli.json_output import AsJson, print_json
from models.errors import ArtifactError

if TYPE_CHECKING:
    from models.align.adapted_entry import AdaptedEntry
    from models.align.alignment import Alignment
    from models.catalog.artifact import Artifact
    from models.catalog.download import Reporter
    from models.embedder import Embedder
    from models.engine.types import Vectors
    from models.modalities.base import Item

# Recall@10 that a map has to reach. Random weights behind their best map reach 0.15 to 0.21, two real models 0.41 to 0.44 (docs/align.md).
FLOOR = 0.3
CHUNK = 512  # inputs between two reports of progress
CLOSE = 1e-3  # how far the graph's vectors may be from the fitted map's; bf16 rounds to less


class Method(StrEnum):
    """How the map is found."""

    best = "best"
    procrustes = "procrustes"
    affine = "affine"
    low_rank = "low-rank"
    residual = "residual"


def align(
    reference: Annotated[str, typer.Argument(help="NAME@VERSION whose vectors are mapped.")],
    to: Annotated[str, typer.Option("--to", help="NAME@VERSION whose index they are to be asked with.")],
    sample: Annotated[
        Path, typer.Option("--sample", exists=True, help="A text file, one a line, or a folder of pictures; thousands.")
    ],
    floor: Annotated[
        float,
        typer.Option(min=0, max=1, help="Recall@10 that must be reached on held-out inputs, or nothing is added."),
    ] = FLOOR,
    method: Annotated[Method, typer.Option(help="How the map is found; best tries all.")] = Method.best,
    name: Annotated[str | None, typer.Option("--as", help="NAME@VERSION of the result.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the figures here, JSON.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the figures, add nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fit a map from one version's space into another's, show what it is worth, and add it as a version of its own."""
    from models.align.adapted_entry import adapted_entry, adapted_reference, require_alignable, require_meaning
    from models.align.alignment import align as fit
    from models.catalog.catalog import Catalog
    from models.catalog.custom import require_reference
    from models.catalog.entries import require_new
    from models.catalog.paths import catalog_path
    from models.catalog.store import pull
    from models.embedder import open_embedder

    catalog = Catalog.load()
    specs = catalog.find(reference), catalog.find(to)
    require_alignable(*specs)
    target = name or adapted_reference(*specs)
    require_reference(target)
    require_new(catalog_path(), target)
    with console_reporter() as reporter:
        new, old = (pull(spec, allow_synthetic=True, reporter=reporter) for spec in specs)
        require_meaning(new, old)
        inputs = list(dict.fromkeys(new.spec.modality.read_sample(sample)))
        before, wanted = (_embedded(open_embedder(artifact), inputs, reporter) for artifact in (new, old))
    found = fit(before, wanted, method=None if method is Method.best else method.value)
    console, document = Console(stderr=as_json), _document(found, reference, to, floor)
    _show(console, found, reference, to)
    if report is not None:
        report.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if found.chosen.old.low < floor:
        raise ArtifactError(
            f"{target} is not added: {found.method} finds {found.chosen.old} of the ten that {to} finds itself, and the lower "
            f"end of that does not reach {floor:g} (--floor)"
        )
    if not dry_run:
        entry = adapted_entry(new, old, target, found.mapping, found.method)
        _add(console, entry, found, inputs[:CHUNK], before[:CHUNK])
    if as_json:
        print_json({**document, "added": None if dry_run else target})


def _embedded(embedder: Embedder, inputs: list[Item], reporter: Reporter) -> Vectors:
    import numpy as np

    label = f"{embedder.artifact.spec.name}: embedding the sample"
    parts: list[Vectors] = []
    for start in range(0, len(inputs), CHUNK):
        parts.append(embedder.embed_items(inputs[start : start + CHUNK]))
        reporter.progress(label, min(start + CHUNK, len(inputs)), len(inputs))
    return np.concatenate(parts) if parts else np.empty((0, embedder.artifact.spec.dimensions), np.float32)


def _add(console: Console, entry: AdaptedEntry, found: Alignment, inputs: list[Item], before: Vectors) -> None:
    """Build the version, prove that its graph computes the map that was measured, and write its entry."""
    from models.catalog.entries import add_entry
    from models.catalog.paths import catalog_path
    from models.catalog.store import pull
    from models.catalog.undo import nothing_left
    from models.verify import verify

    with nothing_left(entry.spec):
        entry.write_map()
        with console_reporter() as reporter:
            artifact = pull(entry.spec, allow_synthetic=False, reporter=reporter)
        failed = next((check for check in verify(entry.spec) if not check.passed), None)
        if failed is not None:
            raise ArtifactError(f"{entry.spec.reference} is not added: {failed.name}: {failed.detail}")
        _require_same(artifact, found, inputs, before)
        add_entry(catalog_path(), entry.spec.model_copy(update={"hash": artifact.hash}))
    table = Table("model", "dimensions", "maps by", "fits the index of", "hash")
    to = entry.spec.adapted.to if entry.spec.adapted else ""
    table.add_row(entry.spec.reference, str(entry.spec.dimensions), found.method, to, artifact.hash)
    console.print(table)


def _require_same(artifact: Artifact, found: Alignment, inputs: list[Item], before: Vectors) -> None:
    import numpy as np

    from models.embedder import open_embedder

    served, fitted = open_embedder(artifact).embed_items(inputs), found.mapping(before)
    lowest = float(np.einsum("nd,nd->n", served.astype(np.float64), fitted).min())
    if not lowest >= 1 - CLOSE:
        raise ArtifactError(
            f"{artifact.graph.name} does not compute the map that was measured: lowest cosine {lowest:.5f}"
        )


def _show(console: Console, found: Alignment, reference: str, to: str) -> None:
    table = Table("map", f"of {to}'s own ten", "of a re-embedding's ten", "its own text first")
    for row in found.rows:
        chosen = " (chosen)" if row.name == found.method else ""
        table.add_row(f"{row.name}{chosen}", str(row.old), "1" if row.again is None else str(row.again), str(row.first))
    console.print(table)
    console.print(
        f"{found.queries:,} queries by {reference} against {found.held_out:,} held-out inputs embedded by {to}; maps were "
        f"fitted to {found.fitted:,} others. Recall@10 with its 95 % interval.",
        highlight=False,
    )


def _document(found: Alignment, reference: str, to: str, floor: float) -> dict[str, object]:
    rows = {
        row.name: {
            measure: {"mean": round(share.mean, 4), "standard_error": round(share.error, 4)}
            for measure, share in (("of_old", row.old), ("of_reembedded", row.again), ("own_first", row.first))
            if share is not None
        }
        for row in found.rows
    }
    counts = {"fitted": found.fitted, "held_out": found.held_out, "queries": found.queries}
    return {"new": reference, "old": to, "floor": floor, "chosen": found.method, **counts, "recall_at_10": rows}

"""``embedserve models list``: every version of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.cli.json_output import AsJson, print_json
from deployments.cli.models.references import selected

if TYPE_CHECKING:
    from models.catalog.model_spec import ModelSpec


def list_models(as_json: AsJson = False) -> None:
    """List every version, what it is, and whether its files are here."""
    from models.catalog.record import is_synthetic
    from models.catalog.store import kept_artifact
    from models.catalog.undo import clear_interrupted

    clear_interrupted()
    if as_json:
        print_json([described(spec) for spec in selected(None)])
        return
    table = Table("model", "type", "dimensions", "precision", "weights", "size", "sources", "hash")
    for spec in selected(None):
        kept = kept_artifact(spec)
        weights = "[red]synthetic[/red]" if kept and is_synthetic(kept) else "pretrained"
        size = f"{kept.graph.stat().st_size / 1e6:.0f} MB" if kept else "-"
        row = [spec.reference, spec.type, str(spec.dimensions), spec.precision, weights if kept else "not pulled", size]
        table.add_row(*row, escape("\n".join(map(str, spec.sources))), kept.hash[:12] if kept else "-")
    Console().print(table)


def described(spec: ModelSpec) -> dict[str, Any]:
    """One version; what its files say is null where they are not here."""
    from models.catalog.record import is_synthetic
    from models.catalog.store import kept_artifact

    kept = kept_artifact(spec)
    return {
        "reference": spec.reference,
        "type": spec.type,
        "dimensions": spec.dimensions,
        "precision": spec.precision,
        "weights": ("synthetic" if is_synthetic(kept) else "pretrained") if kept else None,
        "bytes": kept.graph.stat().st_size if kept else None,
        "sources": [str(source) for source in spec.sources],
        "hash": kept.hash if kept else None,
    }

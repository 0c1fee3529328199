"""``embedserve models list``: every version of the catalogue."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.cli.models.references import selected


def list_models() -> None:
    """List every version, what it is, and whether its files are here."""
    from models.catalog.record import is_synthetic
    from models.catalog.store import kept_artifact
    from models.catalog.undo import clear_interrupted

    clear_interrupted()
    table = Table("model", "type", "dimensions", "precision", "weights", "size", "sources", "hash")
    for spec in selected(None):
        kept = kept_artifact(spec)
        weights = "[red]synthetic[/red]" if kept and is_synthetic(kept) else "pretrained"
        size = f"{kept.graph.stat().st_size / 1e6:.0f} MB" if kept else "-"
        row = [spec.reference, spec.type, str(spec.dimensions), spec.precision, weights if kept else "not pulled", size]
        table.add_row(*row, escape("\n".join(map(str, spec.sources))), kept.hash[:12] if kept else "-")
    Console().print(table)

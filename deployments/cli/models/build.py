"""``embedserve models build``: make versions again."""

from __future__ import annotations

from deployments.cli.json_output import AsJson
from deployments.cli.models.pull import pull
from deployments.cli.models.references import References, selected


def build(references: References = None, as_json: AsJson = False) -> None:
    """Build versions again from their sources, whatever the store holds."""
    for spec in selected(references):
        spec.graph.unlink(missing_ok=True)
    pull(references, as_json=as_json)

"""``embedserve audit``: whether stored vectors are what their rows say."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer


def audit(
    sink: Annotated[str, typer.Argument(help="where `embedserve backfill` wrote")],
    source: Annotated[
        str,
        typer.Option(
            "--from", help="the rows that the vectors were made of; what the notes of the backfill name when left out"
        ),
    ] = "",
    id: Annotated[str, typer.Option(help="the column with ids")] = "",  # noqa: A002 - as users know it
    column: Annotated[str, typer.Option(help="the column with what was embedded")] = "",
    query: Annotated[str, typer.Option(help="what is selected, where --from is a database")] = "",
    prompt: Annotated[str, typer.Option(help="the model's prompt that `embedserve backfill --prompt` named")] = "",
    fetch_rules: Annotated[
        str | None, typer.Option(help="the service's configuration file, where the column holds URLs")
    ] = None,
    sample: Annotated[int, typer.Option(min=1, max=100_000, help="rows that are computed again")] = 100,
    seed: Annotated[int, typer.Option(help="of the choice of these rows")] = 0,
    state: Annotated[
        str | None, typer.Option(help="the folder of the backfill's notes, if not beside the sink")
    ] = None,
) -> None:
    """Look at every vector of a sink and compute a sample again; exit code 1 when a row is not what it says."""
    import orjson

    from deployments.backfill.extras import require_data

    require_data()
    from deployments.backfill.audit import audit as look
    from deployments.backfill.audit import noted_source
    from deployments.backfill.fetch_rules import fetch_rules as rules_in
    from deployments.backfill.job import Rows

    fetch = rules_in(fetch_rules) if fetch_rules else None
    rows = Rows(source, id, column, query, fetch, prompt) if source else replace(noted_source(sink, state), fetch=fetch)
    found = look(sink, rows, sample, seed)
    print(orjson.dumps(found.document(), option=orjson.OPT_INDENT_2).decode())
    if not found.clean:
        raise typer.Exit(1)

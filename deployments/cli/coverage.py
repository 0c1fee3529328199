"""``embedserve coverage``: how much of a catalogue stands at which artifact."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.cli.where import url_behind


def coverage(
    sink: Annotated[str, typer.Argument(help="where `embedserve backfill` wrote")],
    model: Annotated[str, typer.Option(help="name@version that rows should stand at")],
    source: Annotated[
        str | None, typer.Option("--from", help="the catalogue to compare with; the last backfill's rows when left out")
    ] = None,
    id: Annotated[str, typer.Option(help="its column with ids")] = "",  # noqa: A002 - as users know it
    column: Annotated[str, typer.Option(help="its column with what is embedded")] = "",
    query: Annotated[str, typer.Option(help="what is selected, where --from is a database")] = "",
    url: Annotated[
        str | None, typer.Option(help="a service whose artifact counts; this machine's when left out")
    ] = None,
    dashboard: Annotated[
        str | None, typer.Option(help="of Ray: the artifact of the service that runs there counts")
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="the folder of the backfill's notes, if not beside the sink")
    ] = None,
) -> None:
    """Count the rows of a sink by the artifact that computed them; one JSON document."""
    import orjson

    from deployments.backfill.extras import require_data

    require_data()
    from deployments.backfill.coverage import coverage as count
    from deployments.backfill.coverage import hash_of
    from deployments.backfill.job import Rows

    if dashboard and not url:
        url = url_behind(dashboard)
    rows = Rows(source, id, column, query) if source else None
    found = count(sink, hash_of(model, url), rows, state)
    others = [hash_[:12] for name, hash_, _ in found.standings if name == model and hash_ != found.hash]
    if others and url is None:  # a service may have another artifact under the name, such as bf16
        where = "rows of it also stand at" if found.covered else "rows of it stand at"
        said = f"{model} has hash {found.hash[:12]} on this machine; {where} {', '.join(others)}"
        typer.echo(f"note: {said}: --url of the service that computed them counts by its own", err=True)
    print(orjson.dumps({"model": model, **found.document()}, option=orjson.OPT_INDENT_2).decode())

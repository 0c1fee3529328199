"""``embedserve experiment report``: the versions of a model side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli.json_output import AsJson, print_json
from deployments.cli.where import URL_HELP, url_of
from deployments.cli.wide_console import wide_console
from models.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from deployments.operator.traffic_stats import TrafficStats


def report(
    model: Annotated[str, typer.Argument(help="whose versions are compared")],
    url: Annotated[str | None, typer.Option(help=URL_HELP)] = None,
    dashboard: Annotated[str | None, typer.Option(help="of Ray: its service")] = None,
    over: Annotated[
        str | None, typer.Option(help="look twice and compare what came in between: 90s, 10m; else since the start")
    ] = None,
    log: Annotated[
        list[Path] | None, typer.Option(exists=True, help="access logs with exposures, to check the split by keys too")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="write the picture here, PNG; needs the extra plots")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the traffic, latencies, failures and neighbours of a model's versions, and check the split."""
    from deployments.cli.durations import parse_duration
    from deployments.cli.experiment.tables import lines_of_keys, pairs_table, split_lines, versions_table
    from deployments.operator.experiment.comparison import compare, shares_of
    from deployments.operator.experiment.exposure_log import read
    from deployments.operator.experiment.sample_ratio import split

    if plot is not None:
        from deployments.cli.experiment.plot import draw, require_matplotlib

        require_matplotlib()
    console = wide_console()
    url = url_of(url, dashboard)
    stats = _counted(url, None if over is None else parse_duration(over, "--over"))
    found = compare(model, stats)
    if not found.versions:
        raise ConfigError(f"{url} counted nothing of a model {model!r}; `embedserve status` shows what it serves")
    exposed = read(log) if log else {}
    splits = {
        name: (split({version: len(one) for version, one in keys.keys.items()}, shares), keys.torn)
        for name, keys in exposed.items()
        if (shares := shares_of(stats, model, name))
    }
    if plot is not None:
        draw(found, plot)
    if as_json:
        print_json({"comparison": found, "keys": {name: ratio for name, (ratio, _) in splits.items()}})
        return
    console.print(versions_table(found))
    if found.pairs or found.cosines:
        console.print(pairs_table(found))
    for line in split_lines(found.splits):
        console.print(line, highlight=False, soft_wrap=True)
    for name, (ratio, torn) in splits.items():
        for line in lines_of_keys(name, ratio, torn):
            console.print(line, highlight=False, soft_wrap=True)
    if plot is not None:
        console.print(f"drawn: {plot}", highlight=False, soft_wrap=True)


def _counted(url: str, over_s: float | None) -> Mapping[str, TrafficStats]:
    """What a service counted since its start, or within some seconds from now on.

    Raises:
        UnavailableError: it exports no metrics to us.
    """
    from deployments.operator.served import traffic_stats
    from deployments.operator.traffic_stats import TrafficStats

    stats = traffic_stats(url)
    if not stats:
        raise UnavailableError(f"{url} exports no metrics to this machine or this API key (EMBEDSERVE_API_KEY)")
    if over_s is None:
        return stats
    time.sleep(over_s)
    return {name: new.since(stats.get(name, TrafficStats())) for name, new in traffic_stats(url).items()}

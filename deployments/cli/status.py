"""``embedserve status``: what a running service serves, and how it fares."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from deployments.cli.json_output import AsJson, print_json
from deployments.cli.operator_options import Namespace, RayService
from deployments.cli.where import URL_HELP, url_of
from deployments.cli.wide_console import wide_console
from models.errors import ConfigError, UnavailableError
from models.redaction import redacted

if TYPE_CHECKING:
    from deployments.operator.traffic_stats import TrafficStats

WINDOW_S = 30.0  # Ray exports its metrics every 10 s: between two looks there is often nothing new


def status(
    url: Annotated[str | None, typer.Option(help=URL_HELP)] = None,
    watch: Annotated[bool, typer.Option("--watch", help="keep the table up to date until Ctrl-C")] = False,
    interval: Annotated[float, typer.Option(min=0.2, help="seconds between two looks of --watch")] = 2,
    kube: Annotated[bool, typer.Option("--kube", help="the RayService: who changed it, does Serve run it?")] = False,
    dashboard: Annotated[
        str | None, typer.Option(help="of Ray: its service; with --kube, to compare all of the configuration")
    ] = None,
    namespace: Namespace = None,
    rayservice: RayService = None,
    as_json: AsJson = False,
) -> None:
    """Show what a running service serves: versions, states, hashes, shares, replicas, rates, latencies, errors."""
    from deployments.cli.status_table import table
    from deployments.operator.served import served_versions, traffic_stats

    if as_json and watch:
        raise ConfigError("--json is one document, and --watch goes on: say one of them")
    console = wide_console()
    lines: list[str] | None = None
    if kube:
        from deployments.cli.connect import connect_kube
        from deployments.operator.kube.report import report

        lines = [redacted(line) for line in report(connect_kube(url, namespace, rayservice), dashboard)]
        if not as_json:
            for line in lines:
                console.print(line, highlight=False, markup=False, soft_wrap=True)
        if url is None:
            if as_json:
                print_json({"rayservice": lines})
            return
    elif namespace or rayservice:
        raise ConfigError(f"{namespace or rayservice} is for what is compared with a RayService: say --kube too")
    url = url_of(url, dashboard)
    versions, stats = served_versions(url), traffic_stats(url)
    if as_json:
        print_json(_document(url, lines, versions, stats))
        return
    first = table(versions, stats, None)
    if not watch:
        console.print(first)
        return
    _watch(console, url, first, stats, interval)


def _watch(
    console: Console, url: str, first: RenderableType, stats: Mapping[str, TrafficStats], interval_s: float
) -> None:
    """Keep the table up to date until Ctrl-C."""
    looks: deque[tuple[float, Mapping[str, TrafficStats]]] = deque([(time.monotonic(), stats)])
    try:
        with Live(first, console=console, auto_refresh=False) as live:
            while True:
                time.sleep(interval_s)
                live.update(_look(url, looks), refresh=True)
    except KeyboardInterrupt:
        return


def _document(
    url: str, rayservice: list[str] | None, versions: list[dict[str, Any]], stats: Mapping[str, TrafficStats]
) -> dict[str, Any]:
    """What ``--json`` prints: each version as ``/v1/models`` has it, with what it counted since its replicas started."""
    rows = []
    for version in versions:
        counted = stats.get(version["id"])
        traffic = counted and {
            "answered": counted.answered,
            "failed": counted.failed,
            "p50_ms": counted.quantile_ms(0.5),
            "p99_ms": counted.quantile_ms(0.99),
        }
        rows.append({**version, "traffic": traffic})
    document: dict[str, Any] = {"url": url, "versions": rows}
    return document if rayservice is None else {"rayservice": rayservice, **document}


def _look(url: str, looks: deque[tuple[float, Mapping[str, TrafficStats]]]) -> RenderableType:
    """One more table, with rates over the last ``WINDOW_S`` seconds; a line that says so where nothing answers."""
    from deployments.cli.status_table import table
    from deployments.operator.served import served_versions, traffic_stats
    from deployments.operator.traffic_stats import TrafficStats

    try:
        versions = served_versions(url)
    except UnavailableError as error:
        return Text(str(error), style="bold red")
    stats, now = traffic_stats(url), time.monotonic()
    looks.append((now, stats))
    while len(looks) > 2 and now - looks[1][0] >= WINDOW_S:
        looks.popleft()
    since, earlier = looks[0]
    between = {name: new.since(earlier.get(name, TrafficStats())) for name, new in stats.items()}
    clock = Text(f"{time.strftime('%H:%M:%S')}   over {now - since:.0f} s   Ctrl-C ends", style="dim")
    return Group(table(versions, between, now - since), clock)

"""``embedserve status``: what a running service serves, and how it fares."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import httpx2
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deployments.operator.service import TIMEOUT_S, credentials, models
from deployments.operator.traffic_stats import Counts, parse
from models.errors import UnavailableError

COLOURS = {"ready": "green", "loading": "yellow", "failed": "red", "asleep": "cyan"}
COLUMNS = ("version", "state", "hash", "kind", "share", "reps")  # kind: precision
TRAFFIC = ("req/s", "p50", "p99", "err")  # latencies in ms
ABSENT = "–"
PIPED_WIDTH = 160  # of what goes to a file or another program: nothing is cut off
WINDOW_S = 30.0  # Ray exports its metrics every 10 s: between two looks there is often nothing new


def status(console: Console, url: str, interval_s: float | None = None) -> None:
    """Print a table of the versions served, once or until Ctrl-C.

    Raises:
        UnavailableError: nothing answers at ``url``; while watching, the table says so instead.
    """
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    entries = models(url)
    counts: Mapping[str, Counts] = metrics(url)
    if interval_s is None:
        console.print(table(entries, counts, None))
        return
    looks = deque([(time.monotonic(), counts)])
    try:
        with Live(table(entries, counts, None), console=console, auto_refresh=False) as live:
            while True:
                time.sleep(interval_s)
                live.update(look(url, looks), refresh=True)
    except KeyboardInterrupt:
        return


def look(url: str, looks: deque[tuple[float, Mapping[str, Counts]]]) -> RenderableType:
    """One more table, with rates over the last ``WINDOW_S`` seconds."""
    try:
        entries = models(url)
    except UnavailableError as error:
        return Text(str(error), style="bold red")
    counts, now = metrics(url), time.monotonic()
    looks.append((now, counts))
    while len(looks) > 2 and now - looks[1][0] >= WINDOW_S:
        looks.popleft()
    since, earlier = looks[0]
    between = {name: new.since(earlier.get(name, Counts())) for name, new in counts.items()}
    clock = Text(f"{time.strftime('%H:%M:%S')}   over {now - since:.0f} s   Ctrl-C ends", style="dim")
    return Group(table(entries, between, now - since), clock)


def metrics(url: str) -> dict[str, Counts]:
    """What each version counted; empty when the service exports nothing of the kind, or not to this API key."""
    try:
        answer = httpx2.get(f"{url.rstrip('/')}/metrics", headers=credentials(), timeout=TIMEOUT_S, trust_env=False)
        answer.raise_for_status()
    except httpx2.HTTPError:
        return {}
    return parse(answer.text)


def table(
    entries: list[dict[str, Any]], counts: Mapping[str, Counts] | None = None, seconds: float | None = None
) -> Table:
    """One row per version; without ``seconds`` the counts are those since the start, and no rate is known."""
    reasons = [f"{entry['id']}: {entry['reason']}" for entry in entries if entry["reason"]]
    if any(entry["weights"] == "synthetic" for entry in entries):
        reasons.append("* synthetic weights: their vectors carry no meaning")
    result = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=Text("\n".join(reasons)), caption_justify="left")
    for name in (*COLUMNS, *TRAFFIC):
        result.add_column(name, no_wrap=True, justify="right" if name in TRAFFIC else "left")
    for entry in entries:
        shadow = entry.get("shadow")
        result.add_row(
            entry["id"],
            Text(entry["state"], style=COLOURS.get(entry["state"], "")),
            (entry["hash"] or "?")[:8],
            (entry["precision"] or "?") + ("*" if entry["weights"] == "synthetic" else ""),
            f"{entry['share']:.0%}" + (f" +{shadow:g}%" if isinstance(shadow, int | float) and shadow else ""),
            str(entry["replicas"]),
            *traffic((counts or {}).get(entry["id"]), seconds),
        )
    return result


def traffic(counts: Counts | None, seconds: float | None) -> list[str]:
    """Rate, median, 99th percentile and errors as cells."""
    if counts is None:
        return [ABSENT] * len(TRAFFIC)
    rate = ABSENT if seconds is None else f"{counts.answered / seconds:.1f}"
    latencies = [counts.quantile_ms(part) for part in (0.5, 0.99)]
    return [rate, *(ABSENT if value is None else f"{value:.3g}" for value in latencies), f"{counts.failed:.0f}"]

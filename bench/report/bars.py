"""The bars: what the results must reach, and whether they do."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.loads import load as loads
from bench.report.results import Cell, Overload
from bench.report.stats import median, ratio

Cells = dict[tuple[str, str], Cell]
ONE, MANY, ALONE, HITS, RAW = (load.name for load in (loads.ONE, loads.MANY, loads.ALONE, loads.HITS, loads.RAW))
PRECISIONS = ("fp32", "bf16", "int8")
PEERS = {"infinity": ("torch", "onnx"), "fastembed": ("onnx",), "openvino": ("f32", "bf16")}
THREADS = 2  # of the model alone
DEAR_MS = 1.0  # of a core for a text: from there on the model's share is what counts


@dataclass(frozen=True)
class Bar:
    """One line of the verdict."""

    name: str
    value: float
    bound: float
    at_least: bool = True

    @property
    def verdict(self) -> str:
        """pass, miss, or not measured."""
        if math.isnan(self.value):
            return "not measured"
        return "pass" if (self.value >= self.bound if self.at_least else self.value <= self.bound) else "MISS"


def rate(cells: Cells, load: str, *targets: str) -> float:
    """The best median rate among targets; NaN where none was measured."""
    rates = [cells[load, t].rate for t in targets if (load, t) in cells]
    return max(rates) if rates else math.nan


def bars(cells: Cells, overloads: list[Overload]) -> list[Bar]:
    """Every bar of the benchmark."""
    return [*_served(cells), *_peers(cells), *_overloads(overloads), *_exact(cells)]


def _served(cells: Cells) -> list[Bar]:
    found = []
    for precision in PRECISIONS:
        if any(target == f"ceiling {precision}" for _, target in cells):
            found += _served_in(cells, precision)
    hits = rate(cells, HITS, *(f"ours {precision}" for precision in PRECISIONS))
    found.append(Bar("cache hits, 32 clients, requests/s", hits, 3000))
    found.append(Bar("cache hits / uncached", ratio(hits, rate(cells, ONE, "ours int8")), 10))
    return found


def _served_in(cells: Cells, precision: str) -> list[Bar]:
    """How near the service comes to the model alone in one precision."""
    ours, ceiling = f"ours {precision}", f"ceiling {precision}"

    def served(load: str) -> float:
        return ratio(rate(cells, load, ours), rate(cells, load, ceiling))

    found = [
        _one_text(cells, precision, served(ONE)),
        Bar(f"{precision}, 16 texts, 32 clients: served / ceiling", served(MANY), 0.90),
        Bar(f"images {precision}, raw, 8 clients: served / (decode + model)", served(RAW), 0.85),
    ]
    mine, alone = cells.get((ALONE, ours)), cells.get((ALONE, ceiling))
    extra = median(mine.p50_ms) - median(alone.p50_ms) if mine and alone else math.nan
    found.append(Bar(f"{precision}, one client: p50 - the model's own time, ms", extra, 1.5, at_least=False))
    return found


def _one_text(cells: Cells, precision: str, share: float) -> Bar:
    """The model's share of the processor, or what serving costs where the model takes next to nothing."""
    model_ms = ratio(THREADS, rate(cells, ONE, f"ceiling {precision}")) * 1e3
    if math.isnan(model_ms) or model_ms >= DEAR_MS:
        return Bar(f"{precision}, 1 text, 32 clients: served / ceiling", share, 0.65)
    cell = cells.get((ONE, f"ours {precision}"))
    cost = median(cell.cost_ms) - model_ms if cell else math.nan
    name = f"{precision}, 1 text, 32 clients: ms of processor beside the model's {model_ms:.2f}"
    return Bar(name, cost, 0.5, at_least=False)


def _peers(cells: Cells) -> list[Bar]:
    """The default service, and int8, against the fastest engine of each peer that is as exact or more exact."""
    found = []
    for load in dict.fromkeys(load for load, _ in cells if load != HITS):
        bound = 1.5 if load.startswith("text 1×") else 1.1
        for peer, engines in PEERS.items():
            theirs = rate(cells, load, *(f"{peer} {engine}" for engine in engines))
            found.append(Bar(f"{load}: default / {peer}", ratio(rate(cells, load, "default auto"), theirs), bound))
        eight = rate(cells, load, "infinity int8")
        found.append(Bar(f"{load}: int8 / infinity int8", ratio(rate(cells, load, "ours int8"), eight), bound))
    for load in dict.fromkeys(load for load, _ in cells if load.startswith("text 1×") and load != HITS):
        for precision in ("int8", "fp32"):
            naive = rate(cells, load, f"naive {precision}")
            found.append(Bar(f"{load}: {precision} / naive", ratio(rate(cells, load, f"ours {precision}"), naive), 4))
    return [bar for bar in found if not math.isnan(bar.value) or "c32" in bar.name]


def _overloads(overloads: list[Overload]) -> list[Bar]:
    found = []
    for one in overloads:
        refused = sum(n for status, n in one.overload.statuses.items() if status in ("429", "503"))
        proper = ratio(refused - one.overload.refused_without_retry_after, one.overload.sent - _good(one))
        found += [
            Bar(f"overload, {one.target}: goodput / maximum", ratio(one.overload.goodput, one.most), 0.9),
            Bar(f"overload, {one.target}: refused with 503/429 + Retry-After / not served", proper, 1.0),
            Bar(
                f"overload, {one.target}: p99 of accepted / unloaded p99",
                ratio(one.overload.p99_ms, one.unloaded.p99_ms),
                5,
                at_least=False,
            ),
        ]
    return found


def _good(one: Overload) -> int:
    return one.overload.statuses.get("200", 0)


def _exact(cells: Cells) -> list[Bar]:
    ours = [cell for (_, target), cell in cells.items() if target.startswith(("ours", "default"))]
    share = ratio(sum(c.identical for c in ours), sum(c.probes - c.unanswered for c in ours))
    return [Bar("vectors under load with the bits of those alone, share", share, 1.0)]

"""The bars: what the results must reach, and whether they do."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.loads import load as loads
from bench.report.results import Cell, Overload
from bench.report.stats import median, ratio

Cells = dict[tuple[str, str], Cell]
ONE, MANY, ALONE, HITS, RAW = (load.name for load in (loads.ONE, loads.MANY, loads.ALONE, loads.HITS, loads.RAW))


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
    def served(load: str, precision: str) -> float:
        return ratio(rate(cells, load, f"ours {precision}"), rate(cells, load, f"ceiling {precision}"))

    found = [
        Bar("int8, 1 text, 32 clients: served / ceiling", served(ONE, "int8"), 0.65),
        Bar("int8, 16 texts, 32 clients: served / ceiling", served(MANY, "int8"), 0.90),
        Bar("fp32, 1 text, 32 clients: served / ceiling", served(ONE, "fp32"), 0.80),
        Bar("fp32, 16 texts, 32 clients: served / ceiling", served(MANY, "fp32"), 0.92),
        Bar("images int8, raw, 8 clients: served / (decode + model)", served(RAW, "int8"), 0.85),
        Bar("images fp32, raw, 8 clients: served / (decode + model)", served(RAW, "fp32"), 0.85),
    ]
    for precision in ("int8", "fp32"):
        ours, alone = cells.get((ALONE, f"ours {precision}")), cells.get((ALONE, f"ceiling {precision}"))
        extra = median(ours.p50_ms) - median(alone.p50_ms) if ours and alone else math.nan
        found.append(Bar(f"{precision}, one client: p50 - the model's own time, ms", extra, 1.5, at_least=False))
    hits = rate(cells, HITS, "ours int8", "ours fp32")
    found.append(Bar("cache hits, 32 clients, requests/s", hits, 3000))
    found.append(Bar("cache hits / uncached", ratio(hits, rate(cells, ONE, "ours int8")), 10))
    return found


def _peers(cells: Cells) -> list[Bar]:
    found = []
    fp32 = ("infinity torch", "infinity onnx")
    for load in dict.fromkeys(load for load, _ in cells):
        if load == HITS:
            continue
        peer, ours = rate(cells, load, *fp32), rate(cells, load, "ours fp32")
        found.append(Bar(f"{load}: fp32 / infinity fp32", ratio(ours, peer), 1.5))
        found.append(Bar(f"{load}: int8 / infinity fp32", ratio(rate(cells, load, "ours int8"), peer), 3))
        if load.startswith("text"):
            eight = rate(cells, load, "infinity int8")
            found.append(Bar(f"{load}: int8 / infinity int8", ratio(rate(cells, load, "ours int8"), eight), 1.5))
    for load in dict.fromkeys(load for load, _ in cells if load.startswith("text") and load != HITS):
        ours = rate(cells, load, "ours fp32")
        found.append(Bar(f"{load}: fp32 / fastembed fp32", ratio(ours, rate(cells, load, "fastembed onnx")), 1.5))
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
    ours = [cell for (_, target), cell in cells.items() if target.startswith("ours")]
    share = ratio(sum(c.identical for c in ours), sum(c.probes - c.unanswered for c in ours))
    return [Bar("vectors under load with the bits of those alone, share", share, 1.0)]

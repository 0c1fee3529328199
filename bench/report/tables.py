"""Results as tables, for the terminal and for docs/benchmarks.md."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.report.bars import PEERS, PRECISIONS, Bar, Cells
from bench.report.results import Overload
from bench.report.stats import median, ratio

NAMES = (
    "ceiling fp32",
    "ceiling bf16",
    "ceiling int8",
    "ours fp32",
    "ours bf16",
    "ours int8",
    "default auto",
    "naive fp32",
    "naive int8",
    "infinity torch",
    "infinity onnx",
    "infinity int8",
    "fastembed onnx",
    "openvino f32",
    "openvino bf16",
)


def number(value: float, digits: int = 2) -> str:
    """A number for a table; a dash for NaN."""
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.{digits}f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with padded columns."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(3, *(len(cell) for cell in column)) for column in columns]

    def line(cells: Sequence[str]) -> str:
        padded = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join([line(head), "| " + " | ".join(rule) + " |", *(line(row) for row in rows)])


def rates(cells: Cells) -> str:
    """Texts or pictures per second of every load on every target."""
    names = [name for name in NAMES if any(target == name for _, target in cells)]
    loads = list(dict.fromkeys(load for load, _ in cells))
    rows = [
        [load, *(number(cells[load, name].rate if (load, name) in cells else math.nan, 1) for name in names)]
        for load in loads
    ]
    return table(["items per second", *names], rows)


def ratios(cells: Cells) -> str:
    """The service's rates over those of the ceiling and of the other systems."""
    precisions = [p for p in PRECISIONS if any(target == f"ceiling {p}" for _, target in cells)]
    head = ["load", *(f"{p}/ceiling" for p in precisions), "fp32/naive", "int8/naive"]
    head += [*(f"default/{peer}" for peer in PEERS), "int8/infinity int8"]

    def of(load: str, *names: str) -> float:
        found = [cells[load, name].rate for name in names if (load, name) in cells]
        return max(found) if found else math.nan

    rows = []
    for load in dict.fromkeys(load for load, _ in cells):
        row = [ratio(of(load, f"ours {p}"), of(load, f"ceiling {p}")) for p in precisions]
        row += [ratio(of(load, f"ours {p}"), of(load, f"naive {p}")) for p in ("fp32", "int8")]
        for peer, engines in PEERS.items():
            row.append(ratio(of(load, "default auto"), of(load, *(f"{peer} {engine}" for engine in engines))))
        row.append(ratio(of(load, "ours int8"), of(load, "infinity int8")))
        rows.append([load, *(number(value) for value in row)])
    return table(head, rows)


def latencies(cells: Cells) -> str:
    """Percentiles of the closed loop, processor time, what else ran, and the check of vectors."""
    rows = [
        [
            load,
            target,
            number(median(cell.p50_ms)),
            number(median(cell.p99_ms)),
            str(cell.failed),
            number(median(cell.cost_ms)),
            number(100 * median(cell.generator_cpu)) if cell.generator_cpu else "–",
            number(max(cell.others, default=math.nan)),
            number(median(cell.uncounted), 0),
            f"{cell.identical}/{cell.probes - cell.unanswered}" if cell.probes else "–",
            f"{cell.least_cosine:.4f}" if cell.probes else "–",
        ]
        for (load, target), cell in cells.items()
    ]
    head = [
        "load",
        "target",
        "p50 ms",
        "p99 ms",
        "failed",
        "CPU ms/request",
        "wrk CPU %",
        "others, cores",
        "server counts more",
        "same bits",
        "cosine",
    ]
    return table(head, rows)


def verdicts(bars: Sequence[Bar]) -> str:
    """Every bar with its value."""
    rows = [[b.name, number(b.value), f"{'≥' if b.at_least else '≤'} {number(b.bound)}", b.verdict] for b in bars]
    return table(["bar", "measured", "bound", "verdict"], rows)


def overloads(found: Sequence[Overload]) -> str:
    """The open loop: unloaded, each step of the search, and the overload."""
    rows = []
    for one in found:
        stages = [("unloaded", one.unloaded), *((f"{rate:.0f}/s", result) for rate, result in one.steps)]
        for name, result in [*stages, (f"overload, {one.sustainable * 4:.0f}/s", one.overload)]:
            statuses = ", ".join(f"{status}: {count}" for status, count in result.statuses.items())
            rows.append(
                [
                    f"{one.target}, {name}",
                    number(result.goodput),
                    number(result.p50_ms),
                    number(result.p99_ms),
                    statuses,
                    str(result.refused_without_retry_after),
                    number(result.late_ms),
                    number(100 * result.generator_cpu),
                ]
            )
    head = ["open loop", "goodput/s", "p50 ms", "p99 ms", "statuses", "no Retry-After", "sent late ms", "own CPU %"]
    return table(head, rows)


def cpu(cells: Cells, loads: Sequence[str]) -> str:
    """Cores under some loads, by the processes' names."""
    rows = [
        [load, target, ", ".join(f"{k} {v:.2f}" for k, v in sorted(cell.cpu.items(), key=lambda p: -p[1]) if v >= 0.02)]
        for (load, target), cell in cells.items()
        if load in loads and cell.cpu
    ]
    return table(["load", "target", "cores"], rows)

"""What was measured of a card, as tables, and the bars that it missed."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from bench.gpu.http import CLIENTS, HttpResult
from bench.gpu.model import TOKENS, ModelResult
from models.engine.providers import CPU

BARS = {"image": 25_000.0, "text": 150_000.0}  # inputs per second on an H100
COSINE_BAR = 0.9995


def show(console: Console, what: str, flops: float, models: list[ModelResult], http: list[HttpResult]) -> None:
    """Print tables; where no card computed, say so in each title."""
    note = "" if all(m.provider != CPU for m in models) else " (a CPU stands in: nothing here is a card's)"
    console.print(f"{what}: large matrix product {flops / 1e12:.3g} TFLOP/s{note}")
    for model in models:
        unit = "pictures/s" if model.reference.startswith("image") else f"texts/s of {TOKENS} tokens"
        table = Table(
            "batch",
            unit,
            "share of the ceiling",
            "alone against in the batch",
            title=f"{model.reference} on {model.provider}{note}",
        )
        for one in model.throughputs:
            drift = model.drift[one.batch]
            table.add_row(
                f"{one.batch}", f"{one.rate:,.0f}", f"{one.share:.1%}", "same bits" if drift == 0 else f"{drift:.1e}"
            )
        console.print(table)
        console.print(
            f"fp16 to fp32, cosine: mean {model.cosine_mean:.6f}, lowest {model.cosine_lowest:.6f} (bar {COSINE_BAR}); "
            f"swap, both resident: loaded in {model.swap.load_s:.1f} s, {model.swap.before:,.0f}/s before, "
            f"{model.swap.during:,.0f}/s meanwhile, {model.swap.after:,.0f}/s after"
        )
    if http:
        table = Table(
            "HTTP", "inputs/s", "p50, ms", "p99, ms", "failed", "generator, cores", title=f"{CLIENTS} clients{note}"
        )
        for row in http:
            cells = (
                f"{row.items_per_s:,.0f}",
                f"{row.p50_ms:.1f}",
                f"{row.p99_ms:.1f}",
                f"{row.failed}",
                f"{row.generator_cpu:.2f}",
            )
            table.add_row(row.load, *cells)
        console.print(table)


def misses(models: list[ModelResult]) -> list[str]:
    """The bars that a card missed; they were set for an H100."""
    found = []
    for model in models:
        best = max(one.rate for one in model.throughputs)
        bar = BARS["image" if model.reference.startswith("image") else "text"]
        if best < bar:
            found.append(f"{model.reference}: {best:,.0f} inputs/s, bar {bar:,.0f}")
        if model.cosine_lowest < COSINE_BAR:
            found.append(f"{model.reference}: lowest cosine {model.cosine_lowest:.6f}, bar {COSINE_BAR}")
    return found

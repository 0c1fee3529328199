"""What was measured of a card, as tables, and the bars that it missed."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from bench.gpu.http import CLIENTS, HttpResult
from bench.gpu.model import NULL_ENGINE, TOKENS, ModelResult
from bench.gpu.probe import Swap
from models.engine.providers import CUDA, TENSORRT

BARS = {"image": 25_000.0, "text": 150_000.0}  # inputs per second on an H100
END_TO_END = 0.8  # of the engine's rate, with enough decoders
COSINE_BAR = 0.9995


def show(console: Console, what: str, flops: float, models: list[ModelResult], http: list[HttpResult]) -> None:
    """Print tables; where no card computed, say so in each title."""
    note = "" if all(m.provider in (CUDA, TENSORRT) for m in models) else " (no card: nothing here is a card's)"
    console.print(f"{what}: large matrix product {flops / 1e12:.3g} TFLOP/s{note}")
    for model in models:
        unit = "pictures/s" if model.reference.startswith("image") else f"texts/s of {TOKENS} tokens"
        console.print(_rates(model, unit, note))
        of_variant = "not comparable" if model.variant_lowest is None else f"lowest {model.variant_lowest:.6f}"
        console.print(
            f"fp16 to fp32, cosine: mean {model.cosine_mean:.6f}, lowest {model.cosine_lowest:.6f} (bar {COSINE_BAR}), "
            f"variant for cards {of_variant}; swap, both resident: {_swap(model.swap)}"
        )
        if isinstance(model.captured, Swap):
            console.print(f"swap of a replica that replays captured launches: {_swap(model.captured)}")
        elif model.captured is not None:
            console.print(f"swap of a replica that replays captured launches: failed, {model.captured}")
        console.print(_copies(model, unit, note))
        console.print(_replicas(model, unit, note))
    if http:
        console.print(_http(http, note))


def _rates(model: ModelResult, unit: str, note: str) -> Table:
    table = Table("batch", unit, "share of the ceiling", "for cards", "alone against in the batch")
    table.title = f"{model.reference} on {model.provider}{note}"
    variant = {one.batch: one.rate for one in model.variant}
    for one in model.throughputs:
        drift = model.drift[one.batch]
        other = f"{variant[one.batch]:,.0f}" if one.batch in variant else "-"
        alike = "same bits" if drift == 0 else f"{drift:.1e}"
        share = "-" if model.provider == NULL_ENGINE else f"{one.share:.1%}"
        table.add_row(f"{one.batch}", f"{one.rate:,.0f}", share, other, alike)
    return table


def _copies(model: ModelResult, unit: str, note: str) -> Table:
    table = Table("batch", "MB", "pageable, GB/s", "pinned, GB/s", "by", f"1 slot, {unit}", "2 slots", "copies hidden")
    table.title = f"inputs to the card, {model.reference}{note}"
    for one in model.copies:
        rates = (f"{one.one:,.0f}", f"{one.two:,.0f}", f"{one.hidden:.0%}")
        table.add_row(
            f"{one.batch}", f"{one.megabytes:.1f}", f"{one.pageable:.1f}", f"{one.pinned:.1f}", one.timed_by, *rates
        )
    return table


def _replicas(model: ModelResult, unit: str, note: str) -> Table:
    table = Table("replicas on one card", "MPS", unit, title=f"several processes, {model.reference}{note}")
    for one in model.replicas:
        table.add_row(f"{one.count}", "yes" if one.mps else "no", one.said if one.rate is None else f"{one.rate:,.0f}")
    return table


def _http(http: list[HttpResult], note: str) -> Table:
    table = Table(
        "HTTP", "inputs/s", "p50, ms", "p99, ms", "failed", "generator, cores", title=f"{CLIENTS} clients{note}"
    )
    for row in http:
        cells = (f"{row.p50_ms:.1f}", f"{row.p99_ms:.1f}", f"{row.failed}", f"{row.generator_cpu:.2f}")
        table.add_row(row.load, f"{row.items_per_s:,.0f}", *cells)
    return table


def _swap(swap: Swap) -> str:
    return f"loaded in {swap.load_s:.1f} s, {swap.before:,.0f}/s before, {swap.during:,.0f}/s meanwhile, {swap.after:,.0f}/s after"


def misses(models: list[ModelResult], http: list[HttpResult] | None = None) -> list[str]:
    """The bars that a card missed; they were set for an H100."""
    found = []
    for model in models:
        best = max(one.rate for one in (*model.throughputs, *model.variant))
        modality = "image" if model.reference.startswith("image") else "text"
        if best < BARS[modality]:
            found.append(f"{model.reference}: {best:,.0f} inputs/s, bar {BARS[modality]:,.0f}")
        if model.cosine_lowest < COSINE_BAR:
            found.append(f"{model.reference}: lowest cosine {model.cosine_lowest:.6f}, bar {COSINE_BAR}")
        if model.variant_lowest is not None and model.variant_lowest < COSINE_BAR:
            found.append(f"its variant for cards: lowest cosine {model.variant_lowest:.6f}, bar {COSINE_BAR}")
        whole = max((row.items_per_s for row in http or () if row.modality == modality), default=None)
        if whole is not None and whole < END_TO_END * best:
            found.append(f"{model.reference}: {whole:,.0f} inputs/s over HTTP, bar {END_TO_END * best:,.0f}")
    return found

"""What graphs cost a card at least, as they are built and as the variant for cards has them; needs no card.

python -m bench.roofline [NAME@VERSION …] [--batch 128] [--tokens 16] [--bandwidth 4.8] [--tflops 989] [--launch-us 2]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import onnx
from rich.console import Console
from rich.table import Table

from bench.roofline.graph import Card, Roofline, roofline
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.graph.variants import VARIANTS

REFERENCES = ("text-embedding@1.2.0", "image-embedding@1.2.0")  # fp16
BANDWIDTH = 4.8  # TB/s of an H200's memory, as its data sheet says
TFLOPS = 989.0  # of dense fp16 products, as its data sheet says
LAUNCH_US = (
    2.0  # from the end of a short kernel to the next one's begin, where launches are not captured; an assumption
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.roofline", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("references", nargs="*", default=REFERENCES, help="versions of the catalogue, without variant")
    parser.add_argument("--batch", type=int, default=128, help="inputs of a run")
    parser.add_argument("--tokens", type=int, default=16, help="of each text")
    parser.add_argument("--bandwidth", type=float, default=BANDWIDTH, help="TB/s of the card's memory")
    parser.add_argument(
        "--tflops", type=float, default=TFLOPS, help="TFLOP/s of its products, in the graph's precision"
    )
    parser.add_argument("--launch-us", type=float, default=LAUNCH_US, help="microseconds that a launch costs")
    options = parser.parse_args(arguments)
    card = Card(options.bandwidth * 1e12, options.tflops * 1e12, options.launch_us * 1e-6)
    for reference in options.references:
        model = onnx.load(str(pull(Catalog.load().find(reference), allow_synthetic=True).graph))
        before = roofline(model, card, options.batch, options.tokens)
        after = roofline(VARIANTS["card"](model), card, options.batch, options.tokens)
        show(Console(width=110), reference, before, after)
    return 0


def show(console: Console, reference: str, before: Roofline, after: Roofline) -> None:
    """Print both beside each other; ``*`` marks ONNX Runtime's own operators."""
    table = Table("kind", title=f"{reference}, {before.batch} a run, as built → for cards; by arithmetic, not measured")
    for name in ("nodes", "launches", "MB", "GFLOP", "µs at least"):
        table.add_column(name, justify="right")
    kinds = [
        kind
        for kind in dict.fromkeys([*before.costs, *after.costs])
        if before.seconds.get(kind) or after.seconds.get(kind)
    ]
    for kind in kinds:
        cells = zip(_cells(before, kind), _cells(after, kind), strict=True)
        table.add_row(kind, *(f"{one} → {other}" for one, other in cells))
    sums = ((sum(one.nodes.values()), one.total, sum(one.seconds.values())) for one in (before, after))
    rows = [
        (f"{n}", f"{t.launches:.0f}", f"{t.bytes / 1e6:,.0f}", f"{t.flop / 1e9:,.0f}", f"{s * 1e6:,.0f}")
        for n, t, s in sums
    ]
    table.add_section()
    table.add_row("all", *(f"{a} → {b}" for a, b in zip(*rows, strict=True)))
    console.print(table)
    console.print(f"inputs/s at most: {before.rate:,.0f} → {after.rate:,.0f}\n")


def _cells(one: Roofline, kind: str) -> tuple[str, ...]:
    spent = one.costs.get(kind)
    if spent is None:
        return ("-",) * 5
    return (
        f"{one.nodes[kind]}",
        f"{spent.launches:.0f}",
        f"{spent.bytes / 1e6:,.1f}",
        f"{spent.flop / 1e9:,.1f}",
        f"{one.seconds[kind] * 1e6:,.0f}",
    )


if __name__ == "__main__":
    sys.exit(main())

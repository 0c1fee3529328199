"""A card, its ceiling, and what the models make of it: ``make bench-gpu``. On a CPU it shows that the program works.

One run measures: a large matrix product; each model at growing batches as a share of it, and its variant for cards; fp16 beside
fp32; whether an input's vector depends on its batch; copies from pinned and pageable memory and what a second slot hides of
them; one to four replicas, with MPS and without; a swap with both artifacts on the card, and one of a replica that replays
captured launches; and the whole pipeline over HTTP. ``--null`` goes the same way with an engine that waits as long as a card
would compute.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import onnxruntime as ort
from rich.console import Console

from bench.gpu.http import HttpResult, measure_http
from bench.gpu.matrix import ceiling
from bench.gpu.model import CARD, MODELS, NULL, STAND_IN, measure_model
from bench.gpu.opening import Opening
from bench.gpu.tables import misses, show
from bench.null_engine.__main__ import measured
from bench.null_engine.load import LOADS
from bench.report.folder import result_path
from models.engine.cards import find
from models.engine.providers import CPU, WISHES, Wish, choose, preload
from models.engine.session import EngineOptions

NO_CARD = "no card answers nvidia-smi here, or this ONNX Runtime has no CUDA"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write JSON; the exit status says whether a card missed its bars."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--provider", choices=WISHES, default="auto", help="what to measure; auto: the best there is")
    parser.add_argument("--quick", action="store_true", help="few batch sizes, a second each")
    parser.add_argument("--null", action="store_true", help="an engine that waits as long as a card would compute")
    parser.add_argument("--no-http", action="store_true", help="engines alone")
    parser.add_argument("--model", choices=MODELS, help="one alone")
    options = parser.parse_args(arguments)
    providers = (CPU,) if options.null else choose(options.provider, ort.get_available_providers())
    preload(providers)
    card = None if providers[0] == CPU else find()
    if options.provider not in ("auto", "cpu") and card is None:
        print(f"provider {options.provider} was asked for and {NO_CARD}", file=sys.stderr)
        return 2
    wish: Wish = "cpu" if card is None else options.provider
    what = card.name if card else "the null engine, which waits and computes nothing" if options.null else "CPU"
    if card is None:
        print(f"{NO_CARD}; {what} stands in, and no number below is a card's", file=sys.stderr)
    scale = NULL if options.null else STAND_IN if card is None or options.quick else CARD
    flops = ceiling(
        choose(wish, ort.get_available_providers()), scale.matrix, scale.seconds, EngineOptions().thread_count
    )
    opening = Opening(wish, options.null)
    measured_ones = [options.model] if options.model else list(MODELS)
    models = [measure_model(modality, opening, scale, flops) for modality in measured_ones]
    http: list[HttpResult] = []
    if not options.no_http and not options.null:
        http = list(measure_http(wish, 10 * scale.seconds))
    show(Console(width=120), what, flops, models, http)
    pipeline = [] if options.no_http or not options.null else _null_pipeline(scale.seconds)
    path = result_path("gpu.json")
    result: dict[str, Any] = {"device": what, "providers": providers, "onnxruntime": ort.__version__, "flops": flops}
    result |= {"models": [asdict(m) for m in models], "http": [asdict(h) for h in http], "null_pipeline": pipeline}
    path.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(f"written: {path}", file=sys.stderr)
    missed = [] if card is None else misses(models, http)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return int(bool(missed))


def _null_pipeline(seconds: float) -> list[str]:
    """A gateway and an encoder whose engine waits, as ``python -m bench.null_engine`` measures them; each load a line."""
    lines = []
    for name, load in LOADS.items():
        lines.append(measured(name, load, seconds))
        print(lines[-1], flush=True)
    return lines


if __name__ == "__main__":
    sys.exit(main())

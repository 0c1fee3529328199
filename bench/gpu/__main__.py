"""A card, its ceiling, and what the models make of it: ``make bench-gpu``. On a CPU it shows that the program works.

One run measures: a large matrix product, each model at growing batches as a share of it, fp16 beside fp32, whether an
input's vector depends on its batch, a swap with both artifacts on the card, and the service over HTTP.
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

from bench.gpu.http import measure_http
from bench.gpu.matrix import ceiling
from bench.gpu.model import CARD, MODELS, STAND_IN, measure_model
from bench.gpu.tables import misses, show
from bench.report.folder import result_path
from models.engine.cards import find
from models.engine.providers import CPU, WISHES, Wish, choose, preload
from models.engine.session import EngineOptions


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write JSON; the exit status says whether a card missed its bars."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--provider", choices=WISHES, default="auto", help="what to measure; auto: the best there is")
    parser.add_argument("--quick", action="store_true", help="few batch sizes, a second each")
    parser.add_argument("--no-http", action="store_true", help="engines alone")
    options = parser.parse_args(arguments)
    providers = choose(options.provider, ort.get_available_providers())
    preload(providers)
    card = None if providers[0] == CPU else find()
    if options.provider not in ("auto", "cpu") and card is None:
        print(f"provider {options.provider} was asked for and no card answers nvidia-smi", file=sys.stderr)
        return 2
    wish: Wish = "cpu" if card is None else options.provider
    scale = STAND_IN if card is None or options.quick else CARD
    flops = ceiling(
        choose(wish, ort.get_available_providers()), scale.matrix, scale.seconds, EngineOptions().thread_count
    )
    models = [measure_model(modality, wish, scale, flops) for modality in MODELS]
    http = [] if options.no_http else list(measure_http(wish, 10 * scale.seconds))
    what = card.name if card else "CPU"
    show(Console(), what, flops, models, http)
    path = result_path("gpu.json")
    result: dict[str, Any] = {"device": what, "providers": providers, "onnxruntime": ort.__version__, "flops": flops}
    result |= {"models": [asdict(m) for m in models], "http": [asdict(h) for h in http]}
    path.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(f"written: {path}", file=sys.stderr)
    missed = [] if card is None else misses(models)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())

"""Traffic traces replayed against the autoscaling policies: ``python -m bench.autoscaling`` prints a table.

``--plot FOLDER`` also draws replicas, queue and latency. Nothing is started: ``fleet.py`` is the model, and
``service_times.json`` holds what was measured.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bench.autoscaling.fleet import Run, Service, needed, seconds_until_enough, simulate
from bench.autoscaling.plot import draw
from bench.autoscaling.service_times import FILE, TOKENS
from bench.autoscaling.traces import Trace, daily, flash_crowd, slow_ramp
from bench.systems.ours import shipped
from deployments.autoscaling.policies import POLICIES
from deployments.config.queue import Queue

SEED = 1
FLASH_S = 600  # when the flash crowd begins
Make = Callable[[float, float], Trace]
TRACES: tuple[Make, ...] = (  # by what one replica, and what all together, answer in full calls (requests per second)
    lambda one, most: daily(0.2 * one, 0.55 * most, SEED),
    lambda one, most: flash_crowd(0.3 * one, 0.4 * most, SEED),
    lambda one, most: slow_ramp(0.3 * one, 0.55 * most, SEED),
)
COLUMNS = ("trace", "replicas", "mean", "clairvoyant", "changes", "enough after", "p50", "p99", "worst", "failed")
WIDTH = 120


def services() -> dict[str, Service]:
    """The service times of what serve_config.yaml serves, by application."""
    measured = json.loads(FILE.read_text(encoding="utf-8"))["models"]
    queue = Queue()
    units = {"text": (TOKENS, queue.call_cost), "image": (1, queue.call_images)}

    def service(modality: str) -> Service:
        cost, call_cost = units[modality]
        waiting = {"queue_cost": queue.waiting_items * cost, "queue_s": queue.waiting_s or math.inf}
        return Service(
            modality, **measured[f"{modality}-embedding@1.0.0"], request_cost=cost, call_cost=call_cost, **waiting
        )

    return {f"{modality}-embedding--1-0-0": service(modality) for modality in units}


def scaling(application: str) -> dict[str, Any]:
    """The ``autoscaling_config`` that the project ships."""
    app = next(app for app in shipped()["applications"] if app["name"] == application)
    config: dict[str, Any] = app["deployments"][0]["autoscaling_config"]
    return config


def row(run: Run, config: dict[str, Any]) -> list[str]:
    """A run as one line of the table."""
    ideal = needed(run.trace, run.service, POLICIES[config["policy"]["policy_function"]].target.utilisation)
    enough = seconds_until_enough(run, FLASH_S) if run.trace.name == "flash crowd" else math.nan
    return [
        run.trace.name,
        f"{run.serving.min()}-{run.serving.max()}",
        f"{run.serving.mean():.2f}",
        f"{ideal.clip(max=config['max_replicas']).mean():.2f}",
        str(run.changes),
        "" if math.isnan(enough) else f"{enough:.0f} s",
        *(f"{run.percentile_ms(percent):,.0f} ms" for percent in (50, 99, 100)),
        f"{run.failed / run.trace.requests.sum():.2%}",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay every trace against every encoder."""
    parser = argparse.ArgumentParser(prog="python -m bench.autoscaling", description=__doc__)
    parser.add_argument("--plot", type=Path, help="draw autoscale-text.png and autoscale-image.png into this folder")
    options = parser.parse_args(arguments)
    console = Console(file=sys.stdout, width=WIDTH)
    for application, service in services().items():
        config = scaling(application)
        table = Table(
            *COLUMNS, box=box.SIMPLE_HEAD, title=f"{service.name}: {service.capacity:.1f} requests/s a replica"
        )
        traces = [make(service.capacity, service.capacity * config["max_replicas"]) for make in TRACES]
        runs = [simulate(trace, service, config) for trace in traces]
        for run in runs:
            table.add_row(*row(run, config))
        console.print(table)
        if options.plot:
            draw(runs, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())

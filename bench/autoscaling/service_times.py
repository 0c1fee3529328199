"""How long calls and cold starts take here: ``python -m bench.autoscaling.service_times`` renews service_times.json.

With versions as arguments it measures these and keeps the others as they are in the file.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import onnxruntime
import ray

from bench.loads.pictures import scenes
from bench.loads.texts import Texts
from bench.report.machine import describe
from bench.report.stats import median
from bench.systems.ours import encoder_of, shipped, up
from bench.systems.processes import name_of
from bench.systems.server import Server
from deployments.config.names import application_name
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import open_embedder, warm_up
from models.engine.session import EngineOptions
from models.modalities.image import ImageEmbedder
from models.modalities.text import TextEmbedder

REFERENCES = ["text-embedding@1.0.0", "text-embedding@1.1.0", "image-embedding@1.0.0"]
FILE = Path(__file__).with_suffix(".json")
ROUNDS = 15  # of which the fastest counts: other work on the machine only slows
SIZES = {"text": (1, 2, 4, 8, 16, 32, 64), "image": (1, 2, 4, 8)}
TOKENS = 32
STARTS = 3
NAP = {"min_replicas": 0, "downscale_to_zero_delay_s": 20, "look_back_period_s": 5, "metrics_interval_s": 1}
WAIT_S = 120
QUICK_DRAIN = {"RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5"}  # 30 s by default; a replica answers until then


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the file."""
    wanted = list(sys.argv[1:] if arguments is None else arguments) or REFERENCES
    models: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))["models"] if FILE.exists() else {}
    measured = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": "python -m bench.autoscaling.service_times",
        **describe(),
        "onnxruntime": onnxruntime.__version__,
        "ray": ray.__version__,
        "threads": 1,
        "rounds": f"the fastest of {ROUNDS}; cold starts: the median of {STARTS}",
    }
    for reference in wanted:
        call_s, cost_s = fitted(times(reference))
        starts = cold_starts(reference)
        models[reference] = {"call_s": call_s, "cost_s": cost_s, "start_s": median(starts)}
        said = ", ".join(f"{start:.1f}" for start in starts)
        print(f"{reference}: {call_s * 1e3:.2f} ms a call, {cost_s * 1e3:.3f} ms a unit, starts in {said} s")
    found = {"measured": measured, "models": {name: models[name] for name in REFERENCES if name in models}}
    FILE.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def times(reference: str) -> list[tuple[int, float]]:
    """Cost (tokens or pictures) and seconds of calls on one thread, tokenising or decoding included."""
    artifact = pull(Catalog.load().find(reference), allow_synthetic=True)
    embedder = open_embedder(artifact, EngineOptions(threads=1))
    warm_up(embedder)
    found = []
    for size in SIZES[artifact.spec.type]:
        seconds = []
        for turn in range(ROUNDS):
            if isinstance(embedder, TextEmbedder):
                assert artifact.tokenizer
                texts = Texts.of(artifact.tokenizer, TOKENS).batch(turn * 100, size)
                begin, cost = time.perf_counter(), size * TOKENS
                embedder.embed(texts)
            else:
                assert isinstance(embedder, ImageEmbedder)
                pictures = [scenes()[0].raw(turn * 100 + i) for i in range(size)]
                begin, cost = time.perf_counter(), size
                embedder.embed(pictures)
            seconds.append(time.perf_counter() - begin)
        found.append((cost, min(seconds)))
    return found


def fitted(measured: list[tuple[int, float]]) -> tuple[float, float]:
    """Seconds per call and per unit of cost, fitted by relative errors: small calls weigh as much as large ones."""
    cost, seconds = np.array(measured, float).T
    (call_s, cost_s), *_ = np.linalg.lstsq(np.stack([1 / seconds, cost / seconds], 1), np.ones_like(cost), rcond=None)
    return max(float(call_s), 0.0), float(cost_s)


def cold_starts(reference: str) -> list[float]:
    """Seconds from a request to a version that is scaled to zero until its answer."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        server = up("cold-start", sleepy(reference), Path(folder), QUICK_DRAIN)
        try:
            return [_started(server, reference, number) for number in range(STARTS)]
        finally:
            server.stop()


def sleepy(reference: str) -> dict[str, Any]:
    """The project's configuration with one version alone, which scales to zero when it is idle."""
    document = shipped()
    model, version = reference.split("@")
    gateway, *encoders = document["applications"]
    app = encoder_of(next(app for app in encoders if app["args"]["model"].startswith(model)), model, version)
    app["deployments"][0]["autoscaling_config"].update(NAP)
    config = gateway["deployments"][0]["user_config"]
    routes = {**config["models"][model], "versions": {version: 1}, "scale_to_zero": [version]}
    config.update(models={model: routes}, aliases={}, cache={"bytes": 0})
    document["applications"] = [gateway, app]
    return document


def _started(server: Server, reference: str, number: int) -> float:
    deadline = time.monotonic() + 2 * WAIT_S
    while _state(server, reference) != "asleep" or _has_replica(server, reference):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{reference} does not fall asleep")
        time.sleep(0.5)
    text = reference.startswith("text")
    item = f"start number {number}" if text else base64.b64encode(scenes()[0].raw(number)).decode()
    body = json.dumps({"model": reference, "input": item}).encode()
    begin = time.perf_counter()
    if server.post("/v1/embeddings", body, "application/json", WAIT_S) is None:
        raise RuntimeError(f"{reference} did not wake")
    return time.perf_counter() - begin


def _has_replica(server: Server, reference: str) -> bool:
    return any(application_name(*reference.split("@")) in name_of(pid) for pid in server.mark.pids())


def _state(server: Server, reference: str) -> str | None:
    try:
        answer = httpx2.get(f"{server.url}/v1/models/{reference}", timeout=10, trust_env=False)
    except httpx2.HTTPError:
        return None
    state: str | None = answer.json().get("state") if answer.status_code == 200 else None
    return state


if __name__ == "__main__":
    main()

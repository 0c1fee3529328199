"""How long calls and cold starts take on this machine: ``python -m bench.service_times`` renews service_times.json."""

from __future__ import annotations

import base64
import copy
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import onnxruntime
import ray
import yaml

from bench.machine import describe
from bench.pictures import scenes
from bench.servers import Server
from bench.stats import median
from bench.systems import MARKS
from bench.texts import Texts
from deployments.cluster import free_port
from deployments.config import application_name
from models.catalog import ROOT, Catalog
from models.embedder import ImageEmbedder, TextEmbedder, open_embedder, warm_up
from models.engine import EngineOptions
from models.store import pull

FILE = Path(__file__).with_suffix(".json")
ROUNDS = 15  # of which the fastest counts: whatever else runs here only slows
SIZES = {"text": (1, 2, 4, 8, 16, 32, 64), "image": (1, 2, 4, 8)}
TOKENS = 32
STARTS = 3
NAP = {"min_replicas": 0, "downscale_to_zero_delay_s": 20, "look_back_period_s": 5, "metrics_interval_s": 1}
WAIT_S = 120


def main() -> None:
    """Measure everything and write the file."""
    found: dict[str, Any] = {
        "measured": {
            "date": datetime.now(UTC).date().isoformat(),
            "command": "python -m bench.service_times",
            **describe(),
            "onnxruntime": onnxruntime.__version__,
            "ray": ray.__version__,
            "threads": 1,
            "rounds": f"the fastest of {ROUNDS}; cold starts: the median of {STARTS}",
        },
        "models": {},
    }
    for reference in ("text-embedding@1.0.0", "text-embedding@1.1.0", "image-embedding@1.0.0"):
        call_s, cost_s = fitted(times(reference))
        start_s = cold_start(reference)
        found["models"][reference] = {"call_s": call_s, "cost_s": cost_s, "start_s": start_s}
        print(f"{reference}: {call_s * 1e3:.2f} ms a call, {cost_s * 1e3:.3f} ms a unit, start {start_s:.1f} s")
    FILE.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def times(reference: str) -> list[tuple[int, float]]:
    """Cost (tokens, pictures) and seconds of calls to one thread, tokenising or decoding included."""
    artifact = pull(Catalog.load().find(reference), allow_synthetic=True)
    embedder = open_embedder(artifact, EngineOptions(threads=1))
    warm_up(embedder)
    found = []
    for size in SIZES[artifact.spec.type]:
        seconds = []
        for turn in range(ROUNDS):
            begin, cost = time.perf_counter(), size
            if isinstance(embedder, TextEmbedder):
                assert artifact.tokenizer
                texts = Texts.of(artifact.tokenizer, TOKENS).batch(turn * 100, size)
                begin, cost = time.perf_counter(), size * TOKENS
                embedder.embed(texts)
            else:
                assert isinstance(embedder, ImageEmbedder)
                embedder.embed([scenes()[0].raw(turn * 100 + i) for i in range(size)])
            seconds.append(time.perf_counter() - begin)
        found.append((cost, min(seconds)))
    return found


def fitted(measured: list[tuple[int, float]]) -> tuple[float, float]:
    """Seconds per call and per unit of cost; relative errors count, so that small calls weigh as much as large ones."""
    cost, seconds = np.array(measured, float).T
    (call_s, cost_s), *_ = np.linalg.lstsq(np.stack([1 / seconds, cost / seconds], 1), np.ones_like(cost), rcond=None)
    return max(float(call_s), 0.0), float(cost_s)


def cold_start(reference: str) -> float:
    """Seconds from a request to a version that is scaled to zero until its answer."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder, port = Path(name), free_port()
        (folder / "config.yaml").write_text(yaml.safe_dump(sleepy(reference)), encoding="utf-8")
        command = [str(Path(sys.executable).with_name("embedserve")), "up", "--beside", "--port", str(port)]
        command += ["--config", str(folder / "config.yaml")]
        server = Server("cold start", command, port, folder / "log", MARKS)
        try:
            return median([_started(server, reference) for _ in range(STARTS)])
        finally:
            server.stop()


def sleepy(reference: str) -> dict[str, Any]:
    """The project's configuration with one version alone, which sleeps when it is idle."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "serve_config.yaml").read_text(encoding="utf-8"))
    model, version = reference.split("@")
    gateway, *encoders = copy.deepcopy(document["applications"])
    app = next(app for app in encoders if app["args"]["model"].startswith(model))
    app.update(name=application_name(model, version), args={**app["args"], "model": reference})
    app["deployments"][0]["user_config"]["artifact"] = reference
    app["deployments"][0]["autoscaling_config"].update(NAP)
    config = gateway["deployments"][0]["user_config"]
    kind = config["models"][model]["type"]
    routes = {"type": kind, "versions": {version: 1}, "scale_to_zero": [version]}
    config.update(models={model: routes}, aliases={}, cache={"bytes": 0})
    document["applications"] = [gateway, app]
    return document


def _started(server: Server, reference: str) -> float:
    deadline = time.monotonic() + 2 * WAIT_S
    while _state(server, reference) != "asleep":
        if time.monotonic() > deadline:
            raise RuntimeError(f"{reference} does not fall asleep")
        time.sleep(0.5)
    item = "hello world" if reference.startswith("text") else base64.b64encode(scenes()[0].raw(1)).decode()
    body = json.dumps({"model": reference, "input": item}).encode()
    begin = time.perf_counter()
    if server.post("/v1/embeddings", body, "application/json", WAIT_S) is None:
        raise RuntimeError(f"{reference} did not wake")
    return time.perf_counter() - begin


def _state(server: Server, reference: str) -> str | None:
    try:
        answer = httpx2.get(f"{server.url}/v1/models/{reference}", timeout=10, trust_env=False)
    except httpx2.HTTPError:
        return None
    state: str | None = answer.json().get("state") if answer.status_code == 200 else None
    return state


if __name__ == "__main__":
    main()

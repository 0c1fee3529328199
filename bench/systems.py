"""The systems that are compared, and what each calls its models."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import fastembed, infinity
from bench.bodies import Body, PictureBody, TextBody
from bench.loads import Load
from bench.servers import Server
from bench.service_config import measured, write_config
from bench.texts import Texts
from deployments.cluster.local_ray import SWITCHES, free_port

MARKS: dict[str, str | None] = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}


@dataclass(frozen=True)
class Target:
    """One model of one system."""

    system: str
    variant: str  # fp32, int8, ...: what ratios are taken of
    precision: str
    path: str
    model: str
    modality: str

    @property
    def name(self) -> str:
        """``ours int8``."""
        return f"{self.system} {self.variant}"

    def body(self, load: Load, texts: Texts) -> Body | None:
        """The load as this target wants it; None where it cannot take it."""
        if load.modality != self.modality:
            return None
        if load.modality == "text":
            if load.cached and self.system != "ours":
                return None
            return TextBody(self.path, self.model, texts, load.items, load.cached)
        if load.kind == "image-base64":
            return PictureBody(self.path, self.model, as_base64=True, modality=self.system == "infinity")
        if self.system != "ours":
            return None
        return PictureBody(f"{self.path}/image?model={self.model}", self.model)


def targets() -> list[Target]:
    """Everything that is measured over HTTP, in the order of a round."""
    ours = [
        Target("ours", spec.precision, spec.precision, "/v1/embeddings", spec.reference, spec.type)
        for spec in measured()
    ]
    naive = [Target("naive", p, p, "/v1/embeddings", p, "text") for p in ("fp32", "int8")]
    peer = [
        Target("infinity", "torch", "fp32", "/embeddings", "torch", "text"),
        Target("infinity", "onnx", "fp32", "/embeddings", "onnx", "text"),
        Target("infinity", "int8", "int8", "/embeddings", "int8", "text"),
        Target("infinity", "torch", "fp32", "/embeddings", "clip", "image"),
    ]
    fast = Target("fastembed", "onnx", "fp32", "/v1/embeddings", "all-MiniLM-L6-v2", "text")
    return [*ours, *naive, *peer, fast]


def start_ours(folder: Path) -> Server:
    """The service as its users start it, with the bench's configuration."""
    config = folder / "serve_config.yaml"
    write_config(config)
    port, statistics = free_port(), free_port()
    command = [str(Path(sys.executable).with_name("embedserve")), "up", "--beside"]
    command += ["--port", str(port), "--config", str(config)]
    environment = {**MARKS, "RAY_SERVE_HAPROXY_METRICS_PORT": str(statistics)}
    server = Server("ours", command, port, folder / "ours.log", environment)
    server.statistics_port = statistics
    return server


def start_naive(folder: Path) -> Server:
    """The plain Ray Serve application, with none of our switches."""
    specs = {spec.precision: spec for spec in measured() if spec.type == "text"}
    port = free_port()
    command = [sys.executable, "-m", "bench.naive", "--port", str(port)]
    command += ["--tokenizer", str(specs["fp32"].graph.with_suffix(".tokenizer.json"))]
    command += ["--fp32", str(specs["fp32"].graph), "--int8", str(specs["int8"].graph)]
    environment = {**MARKS, **dict.fromkeys(SWITCHES), "RAY_USAGE_STATS_ENABLED": "0"}
    return Server("naive", command, port, folder / "naive.log", environment)


def start_infinity(folder: Path) -> Server:
    """infinity-emb."""
    return infinity.start(infinity.prepare(), free_port(), folder / "infinity.log")


def start_fastembed(folder: Path) -> Server:
    """Fastembed behind LitServe."""
    return fastembed.start(fastembed.prepare(), free_port(), folder / "fastembed.log")


STARTERS: dict[str, Callable[[Path], Server]] = {
    "ours": start_ours,
    "naive": start_naive,
    "infinity": start_infinity,
    "fastembed": start_fastembed,
}

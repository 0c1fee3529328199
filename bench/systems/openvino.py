"""OpenVINO's own runtime behind LitServe, with the plain ONNX export of the same weights."""

from __future__ import annotations

from pathlib import Path

from bench.systems import fastembed
from bench.systems.server import Server
from deployments.cluster.ports import free_port

PROGRAM = Path(__file__).with_name("openvino_server.py")


def start(folder: Path) -> Server:
    """Start it on all cores in fastembed's environment; its log lies in ``folder``."""
    model, port = fastembed.prepare(), free_port()
    command = [str(fastembed.ENVIRONMENT / "bin/python"), "-P", str(PROGRAM)]
    command += ["--port", str(port), "--model", str(model)]
    quiet: dict[str, str | None] = {"DO_NOT_TRACK": "1", "LITSERVE_DISABLE_TELEMETRY": "1"}
    return Server("openvino", command, port, folder / "openvino.log", quiet)

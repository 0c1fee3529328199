"""fastembed behind LitServe, in an environment of its own, with the plain ONNX export of the same weights."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.systems import infinity
from bench.systems.environment import environment
from bench.systems.server import Server
from deployments.cluster.ports import free_port
from models.catalog.paths import ROOT

ENVIRONMENT = ROOT / ".env-fastembed"
REQUIREMENTS = Path(__file__).with_name("fastembed-requirements.txt")
PROGRAM = Path(__file__).with_name("fastembed_server.py")
TOKENIZER = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def prepare() -> Path:
    """Make the environment, and the model's folder from what was prepared for infinity.

    Returns:
        The model's folder.
    """
    exported = infinity.prepare()
    environment(ENVIRONMENT, REQUIREMENTS)
    target = ENVIRONMENT / "model"
    if not target.is_dir():
        partial = target.with_name("model.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for name in TOKENIZER:
            shutil.copyfile(exported / "torch" / name, partial / name)
        shutil.copyfile(exported / "onnx" / "model.onnx", partial / "model.onnx")
        partial.rename(target)
    return target


def start(folder: Path) -> Server:
    """Start it on all cores, without access to a hub; its log lies in ``folder``."""
    model, port = prepare(), free_port()
    command = [str(ENVIRONMENT / "bin/python"), "-P", str(PROGRAM)]
    command += ["--port", str(port), "--model", str(model)]
    quiet: dict[str, str | None] = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "LITSERVE_DISABLE_TELEMETRY": "1"}
    return Server("fastembed", command, port, folder / "fastembed.log", quiet)

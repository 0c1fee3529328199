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
from models.engine.card_libraries import missing
from models.engine.card_memory import arena_limit, require_room
from models.engine.card_trouble import Trouble
from models.engine.cards import GpuDevice, look
from models.engine.provider_options import Device, engine_folder
from models.engine.providers import CUDA, OPENVINO, PROVIDERS, Wish, shortfall
from models.engine.session import EngineOptions
from models.engine.shapes import weight_bytes
from models.errors import ArtifactError


def engine_options(config: EncoderConfig, artifact: Artifact) -> EngineOptions:
    """The options of this replica's next engine.

    Raises:
        ArtifactError: the artifact has no room on this replica's part of the card.
    """
    resources: dict[str, float] = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]
    gpus = float(resources.get("GPU", 0))
    return options_here(config, artifact, gpus)


def options_here(config: EncoderConfig, artifact: Artifact, gpus: float) -> EngineOptions:
    """``options_for`` with the card that is here; what is not known of it is noted.

    Raises:
        ArtifactError: the artifact has no room.
    """
    card, trouble = look() if gpus and config.provider != "cpu" else (None, None)
    options = options_for(config, artifact, gpus, card)
    return replace(options, noticed=(trouble,)) if trouble is not None else options


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
    require_room(limit, weight_bytes(artifact.graph))  # the engine asks again, with its buffers
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
    trouble = unmet(embedder, config.provider)
    if trouble is None:
        return
    if profile == "production" and config.provider != "auto":
        raise ArtifactError(str(trouble))
    logger.warning("%s", trouble)


def unmet(embedder: Embedder, wish: Wish) -> Trouble | None:
    """Why an engine computes elsewhere than it should; None where it does not.

    Args:
        embedder: that was loaded.
        wish: ``auto`` is content with what there is, unless Ray gave the replica a card and the CPU computes.
    """
    engine = embedder.engine
    said = shortfall(wish, engine.provider, gpus=engine.options.gpus)
    if said is None:
        return None
    if engine.provider == OPENVINO:
        return Trouble("other_runtime", said)
    found = engine.troubles or (missing(PROVIDERS.get(wish, CUDA), ort.get_available_providers()),)
    return Trouble(found[0].cause, f"{said}: {'; '.join(one.what for one in found)}")


def notices(embedder: Embedder, config: EncoderConfig) -> tuple[Trouble, ...]:
    """Everything that people should know of where an engine computes, after it was warmed up."""
    trouble = unmet(embedder, config.provider)
    return (*([] if trouble is None else [trouble]), *embedder.engine.noticed)


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

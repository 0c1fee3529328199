"""What an encoder says of itself, from what it has loaded."""

from __future__ import annotations

from deployments.contract.model_info import ModelInfo
from deployments.encoder.artifact_slot import ArtifactSlot
from deployments.encoder.loaded import Loaded
from models.catalog.model_spec import ModelSpec
from models.engine.card_trouble import Trouble
from models.redaction import for_everybody


def description(spec: ModelSpec, slot: ArtifactSlot, failed: Trouble | None) -> ModelInfo:
    """What serves now.

    Args:
        spec: the version that is served.
        slot: has an artifact.
        failed: what its card failed at since it serves.

    Raises:
        ArtifactError: it has none.
    """
    loaded = slot.current
    embedder = loaded.embedder
    return ModelInfo(
        label=loaded.label,
        name=embedder.artifact.spec.name,
        modality=spec.type,
        dimensions=spec.dimensions,
        precision=embedder.artifact.spec.precision,
        provider=embedder.engine.provider,
        vocabulary=embedder.vocabulary,
        max_tokens=embedder.max_tokens,
        swap_error=slot.swap_error,
        mixed=loaded.mixed,
        prompts=embedder.prompts,
        checkpoints=loaded.checkpoints,
        selectable=embedder.selectable,
        warnings=tuple(for_everybody(trouble) for trouble in troubles(loaded, failed)),
    )


def troubles(loaded: Loaded, failed: Trouble | None) -> tuple[Trouble, ...]:
    """Of the artifact since it was loaded, and of its card since it serves."""
    return loaded.notices if failed is None else (*loaded.notices, failed)

"""What folders of Kubernetes manifests change in the Serve configuration, as they say in ``variant.yaml``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from deployments.cluster.on_cards import BATCHES

SETTINGS = "variant.yaml"
SERVICE = "embedserve"


@dataclass(frozen=True)
class Variant:
    """What one folder of manifests changes."""

    folder: str
    profile: str = "production"
    # What computes on cards: `image`, `text`, or both; true: image.
    gpu: bool | Sequence[str] = False
    replicas: int = 1  # at least this many of everything that does not scale to zero
    service: str = SERVICE  # the RayService's name

    @property
    def on_cards(self) -> tuple[str, ...]:
        """The modalities whose encoders have a card each."""
        return (("image",) if self.gpu else ()) if isinstance(self.gpu, bool) else tuple(self.gpu)

    def __post_init__(self) -> None:
        """Refuse what no card computes.

        Raises:
            TypeError: ``gpu`` names something else than modalities.
        """
        if isinstance(self.gpu, str) or not set(self.on_cards) <= set(BATCHES):
            raise TypeError(f"gpu: {self.gpu!r} must be true, false, or a list of {', '.join(sorted(BATCHES))}")


def variant_of(folder: Path, manifests: Path) -> Variant:
    """What a folder's ``variant.yaml`` says; a key that it does not know is an error.

    Args:
        folder: it may lie anywhere.
        manifests: where it lies, it is called by its place below that.

    Raises:
        ValueError: the file cannot be used.
    """
    path = folder / SETTINGS
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        name = folder.relative_to(manifests) if folder.is_relative_to(manifests) else folder
        return Variant(str(name), **told)
    except (OSError, yaml.YAMLError, TypeError) as error:
        keys = ", ".join(field.name for field in fields(Variant) if field.name != "folder")
        raise ValueError(f"{path}: {error}; it may say {keys}") from None


def variants(manifests: Path) -> tuple[Variant, ...]:
    """Every folder below ``manifests`` that has a ``variant.yaml``."""
    return tuple(variant_of(path.parent, manifests) for path in sorted(manifests.rglob(SETTINGS)))

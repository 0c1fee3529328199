from __future__ import annotations

from pathlib import Path

import pytest

from models.catalog.artifact import Artifact
from models.catalog.catalog import Catalog
from models.catalog.record import is_synthetic
from models.catalog.source_entry import SyntheticSource
from models.catalog.store import pull
from models.modalities.image import ImageEmbedder
from models.modalities.text import TextEmbedder
from tests.data.tiny import TinyModel, write


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog.load(Path(__file__).resolve().parents[2] / "models" / "catalog.yaml")


@pytest.fixture(scope="session")
def text_artifact(catalog: Catalog) -> Artifact:
    return pull(catalog.find("text-embedding@1.0.0"), allow_synthetic=True)


@pytest.fixture(scope="session")
def text_embedder(text_artifact: Artifact) -> TextEmbedder:
    return TextEmbedder(text_artifact)


@pytest.fixture(scope="session")
def synthetic_image_artifact(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The synthetic CLIP, also on machines whose store holds the real one."""
    spec = catalog.find("image-embedding@1.0.0")
    artifact = pull(spec, allow_synthetic=True)
    if is_synthetic(artifact):
        return artifact
    path = str(tmp_path_factory.mktemp("synthetic") / "clip.onnx")
    only = [SyntheticSource(synthetic="clip-vision")]
    return pull(spec.model_copy(update={"path": path, "sources": only}), allow_synthetic=True)


@pytest.fixture(scope="session")
def synthetic_image_embedder(synthetic_image_artifact: Artifact) -> ImageEmbedder:
    return ImageEmbedder(synthetic_image_artifact)


@pytest.fixture
def tiny(tmp_path: Path) -> TinyModel:
    return write(tmp_path / "tiny")

"""Random weights stand in where they may, and graphs that nobody vouches for are left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest

from models.catalog.artifact import Artifact, open_artifact
from models.catalog.build import recipe
from models.catalog.catalog import Catalog
from models.catalog.model_spec import ModelSpec
from models.catalog.record import is_synthetic
from models.catalog.source_entry import FileSource, Source, SyntheticSource
from models.catalog.store import kept_artifact, pull
from models.errors import ArtifactError
from models.file_digest import file_sha256
from models.graph import synthetic, vision
from models.graph.builder import save
from models.graph.linear import Fp32Linear
from models.verify import verify
from tests.data.tiny import TinyModel
from tests.models.catalog.pulling import text_spec

pytestmark = pytest.mark.usefixtures("store_folder")

CLIP = vision.ClipVisionConfig(layers=1, heads=2, hidden=16, inner=32, image=32, patch=8, projection=8)


def image_spec(sources: list[Source]) -> ModelSpec:
    return ModelSpec(
        model="image",
        version="1.0.0",
        name="tiny",
        path="./models/store/tiny-image.onnx",
        type="image",
        dimensions=8,
        config={"image_size": 32},
        sources=sources,
    )


def labelled() -> onnx.ModelProto:
    model = vision.build(CLIP, synthetic.clip_vision(CLIP), Fp32Linear())
    model.metadata_props.add(key="embedserve.weights", value="synthetic")
    return model


def record(artifact: Artifact) -> Path:
    return artifact.graph.with_suffix(".json")


@pytest.fixture
def kept_synthetic() -> ModelSpec:
    """A store that holds a synthetic graph with its record, as a first start without a hub leaves it."""
    spec = image_spec([SyntheticSource(synthetic="clip-vision")])
    save(labelled(), spec.graph)
    artifact = kept_artifact(spec)
    assert artifact is not None
    written = {"hash": artifact.hash, "graph": file_sha256(spec.graph), "source": "synthetic", "synthetic": True}
    written["recipe"] = recipe(spec)
    record(artifact).write_text(json.dumps(written))
    return spec


def test_synthetic_weights_are_refused_outside_development_even_where_the_store_holds_them(
    kept_synthetic: ModelSpec,
) -> None:
    with pytest.raises(ArtifactError, match="refused outside the development profile"):
        pull(kept_synthetic, allow_synthetic=False)


def test_synthetic_weights_are_kept_in_development(kept_synthetic: ModelSpec) -> None:
    before = kept_synthetic.graph.stat().st_mtime_ns
    assert is_synthetic(pull(kept_synthetic, allow_synthetic=True))
    assert kept_synthetic.graph.stat().st_mtime_ns == before


def test_a_graph_alone_keeps_its_label(kept_synthetic: ModelSpec) -> None:
    kept_synthetic.graph.with_suffix(".json").unlink()
    artifact = kept_artifact(kept_synthetic)
    assert artifact is not None
    assert is_synthetic(artifact)
    with pytest.raises(ArtifactError, match="refused outside the development profile"):
        pull(kept_synthetic, allow_synthetic=False)


def trained() -> onnx.ModelProto:
    """A graph without the label."""
    return vision.build(CLIP, synthetic.clip_vision(CLIP), Fp32Linear())


def test_real_weights_take_the_place_of_synthetic_ones_as_soon_as_a_source_has_them(
    kept_synthetic: ModelSpec, tmp_path: Path
) -> None:
    save(trained(), tmp_path / "real" / "model.onnx")
    source = FileSource(
        folder=str(tmp_path / "real"), files={"model.onnx": file_sha256(tmp_path / "real" / "model.onnx")}
    )
    artifact = pull(image_spec([source, *kept_synthetic.sources]), allow_synthetic=True)
    assert not is_synthetic(artifact)
    assert artifact.graph.read_bytes() == (tmp_path / "real" / "model.onnx").read_bytes()


def test_a_source_that_failed_lately_does_not_hold_up_the_next_pull(kept_synthetic: ModelSpec, tmp_path: Path) -> None:
    """Of replicas, which pull again for every swap; whoever pulls by hand always looks."""
    real = tmp_path / "real" / "model.onnx"
    save(trained(), real)
    source = FileSource(folder=str(real.parent), files={real.name: file_sha256(real)})
    spec = image_spec([source, *kept_synthetic.sources])
    hidden = real.rename(tmp_path / "hidden")
    assert is_synthetic(pull(spec, allow_synthetic=True))
    hidden.rename(real)
    assert is_synthetic(pull(spec, allow_synthetic=True, retry_s=600))
    long_ago = time.time() - 601
    os.utime(spec.graph.with_suffix(".json"), (long_ago, long_ago))
    assert not is_synthetic(pull(spec, allow_synthetic=True, retry_s=600))


def test_random_weights_are_refused_at_once_however_lately_the_sources_failed(kept_synthetic: ModelSpec) -> None:
    with pytest.raises(ArtifactError, match="refused outside the development profile"):
        pull(kept_synthetic, allow_synthetic=False, retry_s=600)


@pytest.fixture(params=["beside no record", "in place of a synthetic one"])
def strange(request: pytest.FixtureRequest, kept_synthetic: ModelSpec) -> ModelSpec:
    """A store that holds a graph which somebody put there."""
    save(trained(), kept_synthetic.graph)
    if request.param == "beside no record":
        kept_synthetic.graph.with_suffix(".json").unlink()
    return kept_synthetic


@pytest.mark.parametrize("allow", [True, False], ids=["in development", "in production"])
def test_a_graph_for_which_nothing_vouches_is_neither_served_nor_overwritten(strange: ModelSpec, allow: bool) -> None:
    theirs = strange.graph.read_bytes()
    assert kept_artifact(strange) is None
    with pytest.raises(ArtifactError, match=r"was not made by this program.*`hash: [0-9a-f]{64}`.*models build"):
        pull(strange, allow_synthetic=allow)
    assert strange.graph.read_bytes() == theirs
    assert not verify(strange)[-1].passed


@pytest.mark.parametrize("allow", [True, False], ids=["in development", "in production"])
def test_a_graph_that_the_catalogue_pins_is_used_whoever_put_it_there(strange: ModelSpec, allow: bool) -> None:
    theirs = strange.graph.read_bytes()
    pinned = strange.model_copy(update={"hash": open_artifact(strange, strange.graph).hash})
    artifact = pull(pinned, allow_synthetic=allow)
    assert strange.graph.read_bytes() == theirs
    assert not is_synthetic(artifact)


def test_a_graph_with_another_hash_than_the_catalogues_is_neither_kept_nor_made(tiny: TinyModel) -> None:
    source = FileSource(folder=str(tiny.folder), files=tiny.files)
    right = pull(text_spec([source]), allow_synthetic=False)
    pinned = text_spec([source]).model_copy(update={"hash": "0" * 64})
    assert kept_artifact(pinned) is None
    with pytest.raises(ArtifactError, match=f"make an artifact with hash {right.hash}, the catalogue says 0000"):
        pull(pinned, allow_synthetic=False)
    assert not right.graph.exists(), "what must not be served does not lie in the store"


KILLED = """
import os, sys
from models.catalog import making, store
from models.catalog.model_spec import ModelSpec
making.file_sha256 = lambda _: os._exit(9)  # after the graph, before its record
store.pull(ModelSpec.model_validate_json(sys.argv[1]), allow_synthetic=False)
"""


def test_a_build_that_is_killed_leaves_no_graph_that_looks_like_a_strangers(tiny: TinyModel) -> None:
    spec = text_spec([FileSource(folder=str(tiny.folder), files=tiny.files)])
    done = subprocess.run([sys.executable, "-c", KILLED, spec.model_dump_json()], timeout=120, check=False)
    assert done.returncode == 9
    assert spec.graph.is_file()
    assert pull(spec, allow_synthetic=False).graph == spec.graph


def test_the_synthetic_graph_of_the_catalogue_is_labelled(synthetic_image_artifact: Artifact) -> None:
    properties = onnx.load(str(synthetic_image_artifact.graph)).metadata_props
    assert {"embedserve.weights": "synthetic"}.items() <= {p.key: p.value for p in properties}.items()
    assert is_synthetic(synthetic_image_artifact)


def test_the_text_model_is_not_synthetic(text_artifact: Artifact, catalog: Catalog) -> None:
    assert not is_synthetic(text_artifact)
    assert text_artifact.spec == catalog.find("text-embedding@1.0.0")

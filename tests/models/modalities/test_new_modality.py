"""Adding a modality is one file and one entry: a signal goes all the way that texts and pictures go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from deployments.config.limits import Limits
from deployments.config.names import deployment_name
from deployments.config.routes import ModelRoutes
from deployments.contract.embedding import Label
from deployments.contract.model_info import ModelInfo
from deployments.encoder.prepare_pool import PreparePool
from deployments.encoder.preparing import prepare_here
from deployments.gateway.input_validation import checked_items
from deployments.gateway.model_version import ModelVersion
from deployments.http.kserve_v2.tensors import items_of
from models.catalog.artifact import Artifact, open_artifact
from models.catalog.catalog import Catalog
from models.embedder import open_embedder, warm_up
from models.errors import ArtifactError, InputError
from models.modalities import MODALITIES
from models.verify import verify
from tests.models.modalities.signal_modality import DIMENSIONS, Signal, write_graph

SAMPLES = 8
SIGNAL = np.arange(20, dtype="<i2").tobytes()
INFO = ModelInfo(Label("hum@1.0.0", "h"), "hum", "signal", DIMENSIONS, "fp32", "CPU")


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODALITIES, "signal", Signal())


@pytest.fixture
def artifact(registered: None, tmp_path: Path) -> Artifact:
    write_graph(tmp_path / "hum.onnx", SAMPLES)
    entry = {
        "name": "hum",
        "path": str(tmp_path / "hum.onnx"),
        "type": "signal",
        "dimensions": DIMENSIONS,
        "config": {"samples": SAMPLES},
    }
    (tmp_path / "catalog.yaml").write_text(yaml.safe_dump({"models": {"hum": {"1.0.0": entry}}}))
    spec = Catalog.load(tmp_path / "catalog.yaml").find("hum@1.0.0")
    return open_artifact(spec, spec.graph)


def test_its_models_load_prove_themselves_and_warm_up(artifact: Artifact) -> None:
    embedder = open_embedder(artifact)
    warm_up(embedder)
    vectors = embedder.embed_items([SIGNAL, SIGNAL[2:]])
    assert vectors.shape == (2, DIMENSIONS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert all(check.passed for check in verify(artifact.spec.model_copy(update={"hash": artifact.hash})))


def test_a_graph_of_another_modality_is_refused_by_its_name(artifact: Artifact) -> None:
    with pytest.raises(ArtifactError, match="is a graph for signal, the catalogue says type: image"):
        MODALITIES["image"].open(
            Artifact(artifact.spec.model_copy(update={"config": {"image_size": 8}}), artifact.graph, None, "h")
        )


async def test_an_encoder_prepares_its_items_and_each_fails_alone(artifact: Artifact) -> None:
    embedder = open_embedder(artifact)
    with PreparePool(1, "prepare") as threads:
        good, short = await prepare_here(threads, embedder.preparation(), [SIGNAL, SIGNAL[:4]])
    assert isinstance(short, InputError)
    np.testing.assert_array_equal(good, np.arange(SAMPLES))


def test_the_gateway_checks_routes_and_weighs_its_items(registered: None) -> None:
    ModelRoutes.model_validate({"type": "signal", "versions": {"1.0.0": 1}})
    assert checked_items(["1,2,3"], "input", INFO, Limits()) == [np.array([1, 2, 3], "<i2").tobytes()]
    with pytest.raises(InputError, match=r"input\[1\] is no signal"):
        checked_items(["1", b"odd"], "input", INFO, Limits())
    assert ModelVersion("hum", "1.0.0", "signal").queue.waiting_cost == 0
    assert deployment_name("signal") == "SignalEncoder"


def test_its_tensors_of_the_v2_protocol_bear_its_name(registered: None) -> None:
    binary = len(SIGNAL).to_bytes(4, "little") + SIGNAL
    tensor = {"name": "signal", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(binary)}}
    assert items_of({"inputs": [tensor]}, binary, "signal") == [SIGNAL]
    with pytest.raises(InputError, match="samples, separated by commas"):
        items_of({"inputs": [{"name": "signal", "datatype": "BYTES", "shape": [1], "data": [3]}]}, b"", "signal")


def test_without_its_registration_a_catalogue_entry_says_which_modalities_there_are() -> None:
    with pytest.raises(ValueError, match="must be 'text' or 'image', not 'signal'"):
        ModelRoutes.model_validate({"type": "signal", "versions": {"1.0.0": 1}})

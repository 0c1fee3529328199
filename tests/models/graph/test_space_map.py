"""A map at the end of a graph computes what numpy does, and leaves a vector a function of its own input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.errors import ArtifactError
from models.graph.builder import save
from models.graph.space_map import Residual, SpaceMap, append_map
from models.inputs.token_ids import pad
from models.modalities.text import TextEmbedder
from tests.models.loading import artifact_of, embedder_of

TEXTS = [
    "hello world",
    "x",
    "The weather is lovely today.",
    "a sentence that is a good deal longer than the others " * 5,
]


def mapping(outputs: int, *, network: bool) -> SpaceMap:
    made = np.random.Generator(np.random.PCG64(1))

    def numbers(*shape: int) -> NDArray[np.float32]:
        return made.standard_normal(shape).astype(np.float32)

    inner = Residual(numbers(384, 40), numbers(40), numbers(40, outputs)) if network else None
    return SpaceMap(numbers(384, outputs), numbers(outputs), inner)


@pytest.mark.parametrize("reference", ["text-embedding@1.0.0", "text-embedding@1.1.0", "text-embedding@2.0.0"])
@pytest.mark.parametrize("network", [False, True], ids=["linear", "with a network"])
def test_the_graph_computes_the_map(reference: str, network: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    artifact, wanted = artifact_of(reference), mapping(96, network=network)
    graph = tmp_path_factory.mktemp("mapped") / "mapped.onnx"
    save(append_map(onnx.load(str(artifact.graph)), wanted, "old@1"), graph)
    mapped = TextEmbedder(replace(artifact, graph=graph))
    vectors = mapped.embed(TEXTS)
    np.testing.assert_allclose(vectors, wanted(embedder_of(reference).embed_items(TEXTS)), atol=2e-5)
    assert mapped.engine.metadata["embedserve.adapted"] == "old@1"
    rows = mapped.tokenizer.encode(TEXTS)
    alone = np.concatenate([mapped.run_padded(*pad([row])) for row in rows])
    assert np.array_equal(alone, mapped.run_padded(*pad(rows)))  # to the last bit, alone and in company


def test_a_graph_is_mapped_once() -> None:
    model = append_map(onnx.load(str(artifact_of("text-embedding@1.0.0").graph)), mapping(384, network=False), "old@1")
    with pytest.raises(ArtifactError, match="has a map already"):
        append_map(model, mapping(384, network=False), "old@1")


def test_a_graph_without_pooling_is_refused_with_the_remedy() -> None:
    model = onnx.load(str(artifact_of("text-embedding@1.0.0").graph))
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["n", "t", 384])
    )
    with pytest.raises(ArtifactError, match=r"no vector for each input.*--pooling"):
        append_map(model, mapping(384, network=False), "old@1")

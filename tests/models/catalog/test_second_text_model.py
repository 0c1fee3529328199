"""paraphrase-MiniLM-L3-v2: its vectors are those of the file in the package, and the tokenizer from the other package is its own."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from tokenizers import Tokenizer

from models.catalog.catalog import Catalog
from models.catalog.paths import store
from models.catalog.source_entry import PackageSource
from models.catalog.sources import place
from models.errors import ArtifactError
from models.graph.append import append_head
from models.graph.head import Head
from tests.data.text_cases import texts as all_texts
from tests.models.loading import artifact_of, embedder_of

REFERENCE, OTHER = "text-embedding@2.0.0", "text-embedding@1.0.0"
POOLED = "461"  # the file's own output: the mean over its tokens, of any length
ROWS = 300  # of its table of words, of 30,522


@pytest.fixture(scope="module")
def package_file() -> str:
    artifact_of(REFERENCE)
    source = Catalog.load().find(REFERENCE).sources[0]
    assert isinstance(source, PackageSource)
    ((name, sha256),) = source.files.items()
    return str(place(store() / "files", name, sha256))


def test_its_vectors_are_those_of_the_file_in_the_package(package_file: str) -> None:
    artifact = artifact_of(REFERENCE)
    tokenizer = Tokenizer.from_file(str(artifact.tokenizer))
    tokenizer.enable_truncation(128)
    tokenizer.no_padding()
    session = ort.InferenceSession(package_file, providers=["CPUExecutionProvider"])
    texts = [text for text in all_texts() if text.strip()]
    expected = []
    for text in texts:
        ids = np.array([tokenizer.encode(text).ids])
        pooled = session.run([POOLED], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0]
        expected.append(pooled / np.linalg.norm(pooled.astype(np.float64)))
    vectors = embedder_of(REFERENCE).embed_items(texts)
    np.testing.assert_allclose(vectors, np.array(expected), atol=1e-6)


def test_its_words_are_those_of_the_tokenizer(package_file: str) -> None:
    """Both models began as one. Each row of a table of words is nearest to the same word's row in the other's."""
    tables = [words(package_file), words(str(artifact_of(OTHER).graph))]
    rows = np.random.Generator(np.random.PCG64(0)).choice(len(tables[0]), ROWS, replace=False)
    nearest = (tables[0][rows] @ tables[1].T).argmax(axis=1)
    assert (nearest == rows).mean() > 0.98


def test_it_has_a_space_of_its_own() -> None:
    texts = [text for text in all_texts() if text.strip()]
    both = [embedder_of(reference).embed_items(texts) for reference in (REFERENCE, OTHER)]
    assert np.einsum("nd,nd->n", *both).mean() < 0.5


def test_nothing_of_the_file_is_left_that_its_vectors_do_not_need() -> None:
    graph = onnx.load(str(artifact_of(REFERENCE).graph)).graph
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    assert [node.name for node in graph.node if not read.intersection(node.output)] == []
    assert [tensor.name for tensor in graph.initializer if tensor.name not in read] == []


def test_it_is_one_artifact_under_both_of_its_names() -> None:
    assert artifact_of(REFERENCE).hash == artifact_of("paraphrase-minilm-l3-v2@1.0.0").hash


def test_an_output_that_the_graph_lacks_is_named(package_file: str) -> None:
    with pytest.raises(ArtifactError, match=r"no output 'nothing', which config\.token_output names"):
        append_head(onnx.load(package_file), Head(), 384, "nothing")


def words(path: str) -> NDArray[np.float32]:
    """Its table of words, rows of length 1."""
    tensors = onnx.load(path).graph.initializer
    table = numpy_helper.to_array(next(t for t in tensors if t.dims[:1] == [30522])).astype(np.float32)
    rows: NDArray[np.float32] = table / np.linalg.norm(table, axis=1, keepdims=True)
    return rows

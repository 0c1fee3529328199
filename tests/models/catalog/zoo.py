"""A place to add folders to, and the vectors that come of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from models.catalog.custom import described
from models.catalog.families.bert import Bert
from models.catalog.store import pull
from models.embedder import open_embedder, warm_up
from models.engine.session import EngineOptions
from models.errors import ArtifactError
from models.graph.builder import GraphBuilder
from models.graph.linear import Fp32Linear
from models.modalities.text import TextEmbedder
from tests.data.zoo.texts import TEXTS, Case, encoder, encoder_weights


@dataclass(frozen=True)
class Zoo:
    """A place to add folders to."""

    folder: Path

    def vectors(self, case: Case, *, finished: bool = False) -> NDArray[np.float32] | str:
        """The vectors of a case as the service gives them, or the reason of its refusal."""
        number = sum(1 for _ in self.folder.iterdir())
        folder = case.write(self.folder / f"{number}")
        if finished:
            (folder / "model.safetensors").unlink()
            (folder / "model.onnx").write_bytes(finished_graph())
        try:
            model = self.opened(folder, f"m{number}@1")
            warm_up(model)
            vectors = model.embed([TEXTS[i] for i in case.texts])
        except ArtifactError as error:
            return str(error)
        assert model.unit == np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5) or not model.unit
        return vectors

    def opened(self, folder: Path, reference: str, precision: str = "fp32") -> TextEmbedder:
        """A folder as the service loads it."""
        spec = described(reference, folder, precision).spec
        model = open_embedder(pull(spec, allow_synthetic=False), EngineOptions(threads=1))
        assert isinstance(model, TextEmbedder)
        return model


def finished_graph() -> bytes:
    """The zoo's encoder as a file of somebody else's, with a vector for each token."""
    graph = GraphBuilder("theirs")
    tokens = Bert().tokens(graph, encoder(), encoder_weights(), Fp32Linear())
    inputs = {name: (TensorProto.INT64, ["n", "t"]) for name in ("input_ids", "attention_mask")}
    model = graph.model(inputs, ("last_hidden_state", tokens, ["n", "t", "h"]), {})
    return bytes(onnx.ModelProto.SerializeToString(model))


def lowest(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """The lowest cosine of unit vectors [n, d] to those of the library."""
    return float((ours.astype(np.float64) * theirs).sum(axis=1).min())

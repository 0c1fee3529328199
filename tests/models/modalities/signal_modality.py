"""A third modality, as somebody would add one: all of it is in this file, and its registration is one entry in ``MODALITIES``.

Signals are bytes of little-endian int16; a model embeds the first samples of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.catalog.artifact import Artifact
from models.engine.engine import Engine
from models.engine.session import EngineOptions
from models.engine.types import Vectors
from models.errors import InputError
from models.modalities.base import Embedder, Item, Prepared, Row, require_modality
from models.modalities.modality import Modality
from models.modalities.model_files import ModelConfig

DIMENSIONS = 4


class SignalConfig(ModelConfig):
    samples: int


class Signal(Modality):
    name = "signal"
    config = SignalConfig
    graph_inputs = "samples"
    noun = "signals"
    json_items = "samples, separated by commas"

    def takes(self, inputs: frozenset[str]) -> bool:
        return inputs == {"samples"}

    def open(self, artifact: Artifact, options: EngineOptions | None = None) -> SignalEmbedder:
        return SignalEmbedder(artifact, options)

    def check(self, item: Item, where: str, limits: Any) -> Item:
        data = np.array(item.split(","), "<i2").tobytes() if isinstance(item, str) else item
        if not isinstance(data, bytes | memoryview) or len(data) % 2:
            raise InputError(f"{where} is no signal", param=where)
        return data

    def estimate(self, item: Item, most: int | None) -> int:
        return len(item) // 2

    def read_sample(self, path: Path) -> list[Item]:
        return [file.read_bytes() for file in sorted(path.iterdir())]

    def from_bytes(self, element: memoryview, where: str) -> Item:
        return element


class SignalEmbedder(Embedder):
    def __init__(self, artifact: Artifact, options: EngineOptions | None = None) -> None:
        self.artifact = artifact
        self.samples: int = artifact.spec.config["samples"]
        self.engine = Engine(artifact.graph, options)
        require_modality(self.engine, "signal", artifact.graph)

    def preparation(self, limits: Any = None) -> Cut:
        return Cut(self.samples)

    def embed_rows(self, rows: Sequence[Row]) -> Vectors:
        return self.engine.run({"samples": np.stack(rows)}, lambda tokens: tokens[:, 0])

    def cost(self, row: Row) -> int:
        return len(row)

    def probe_row(self) -> Row:
        return np.arange(1, self.samples + 1, dtype=np.float32)

    def warm_up_batches(self) -> Iterator[list[Row]]:
        yield [self.probe_row()] * 3

    def warm_up_example(self) -> Mapping[str, NDArray[Any]]:
        return {"samples": self.probe_row()[np.newaxis]}


class Cut:
    apart: ClassVar[bool] = False
    portable: ClassVar[bool] = False

    def __init__(self, samples: int) -> None:
        self.samples = samples

    def quick(self, items: Sequence[Item]) -> bool:
        return True

    def __call__(self, items: Sequence[Item]) -> list[Prepared]:
        return [self._cut(item) for item in items]

    def _cut(self, item: Item) -> Prepared:
        if not isinstance(item, bytes) or len(item) < 2 * self.samples:
            return InputError(f"a signal has at least {self.samples} samples", code="short_signal")
        return np.frombuffer(item, "<i2")[: self.samples].astype(np.float32)


def write_graph(path: Path, samples: int) -> None:
    """A graph that projects samples to ``DIMENSIONS``."""
    weights = np.random.default_rng(0).standard_normal((samples, DIMENSIONS)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["samples", "weights"], ["embedding"])],
        "signal",
        [helper.make_tensor_value_info("samples", TensorProto.FLOAT, ["n", samples])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", DIMENSIONS])],
        [numpy_helper.from_array(weights, "weights")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))

"""One ONNX Runtime session and the shape of its graph: tensors in, unit vectors out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.errors import ArtifactError
from models.image import Pixels, pixel_values

Vectors = NDArray[np.float32]
Pooling = Literal["mean", "cls"]

# Outputs that hold one vector per input, and outputs that hold one per token, most specific name first.
POOLED_OUTPUTS = ("embedding", "sentence_embedding", "image_embeds", "text_embeds", "image_embedding")
TOKEN_OUTPUTS = ("token_embeddings", "last_hidden_state")
NUMPY_TYPES = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}


@dataclass(frozen=True)
class EngineOptions:
    """How a session runs."""

    threads: int = 0  # intra-op threads; 0: one per core that this process may use
    spinning: bool = False  # spinning threads starve the event loop and the neighbours on shared cores
    provider: str = "CPUExecutionProvider"


class Engine:
    """A loaded graph. Thread-safe: ONNX Runtime runs one session from many threads."""

    def __init__(self, path: Path, options: EngineOptions | None = None, *, pooling: Pooling = "mean") -> None:
        """Load a serving graph or a ready-made one.

        Args:
            path: the ``.onnx`` file.
            options: threads and provider.
            pooling: how token-level outputs of ready-made graphs become one vector.

        Raises:
            ArtifactError: the file is missing, no ONNX, or has inputs or outputs that are not understood.
        """
        self._options = options or EngineOptions()
        self._pooling = pooling
        self._session = _session(path, self._options)
        self._inputs = {i.name: i for i in self._session.get_inputs()}
        self._output, self._per_token = self._choose_output(path)
        self._types = {name: NUMPY_TYPES.get(i.type) for name, i in self._inputs.items()}
        unknown = [f"{n}: {self._inputs[n].type}" for n, t in self._types.items() if t is None]
        if unknown:
            raise ArtifactError(f"{path.name} has inputs of unsupported type: {', '.join(unknown)}")
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        self._unit = self.metadata.get("embedserve.output") == "unit"
        self.kind = self._kind(path)
        self.provider = self._session.get_providers()[0]

    def _choose_output(self, path: Path) -> tuple[str, bool]:
        shapes = {o.name: len(o.shape) for o in self._session.get_outputs()}
        for name in (*POOLED_OUTPUTS, *TOKEN_OUTPUTS):
            if shapes.get(name) in (2, 3):
                return name, shapes[name] == 3
        wanted = ", ".join((*POOLED_OUTPUTS, *TOKEN_OUTPUTS))
        raise ArtifactError(f"{path.name} has outputs {sorted(shapes)}; one of these is needed: {wanted}")

    def _kind(self, path: Path) -> Literal["text", "image"]:
        if "input_ids" in self._inputs:
            extra = set(self._inputs) - {"input_ids", "attention_mask", "token_type_ids"}
            kind: Literal["text", "image"] = "text"
        else:
            extra = set(self._inputs) - {"pixels", "pixel_values", "image"}
            kind = "image"
        if extra or not self._inputs or (kind == "image" and len(self._inputs) != 1):
            raise ArtifactError(
                f"{path.name} has inputs {sorted(self._inputs)}; text graphs take input_ids, attention_mask and "
                "optionally token_type_ids, image graphs take pixels, pixel_values or image"
            )
        return kind

    def run_text(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Vectors:
        """Embed padded token ids, int64 [n, t] with its mask, to unit vectors float32 [n, d]."""
        available = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self._inputs:
            available["token_type_ids"] = np.zeros_like(ids)
        feeds = {
            name: value.astype(self._types[name], copy=False)
            for name, value in available.items()
            if name in self._inputs
        }
        raw = self._session.run([self._output], feeds)[0]
        if self._per_token:
            raw = _pool(raw.astype(np.float32), mask, self._pooling)
        return self._finish(raw)

    def run_image(self, pixels: Pixels) -> Vectors:
        """Embed uint8 pixels [n, h, w, 3] to unit vectors float32 [n, d]."""
        name = next(iter(self._inputs))
        value: NDArray[Any] = pixels if self._types[name] == np.uint8 else pixel_values(pixels)
        raw = self._session.run([self._output], {name: value.astype(self._types[name], copy=False)})[0]
        return self._finish(raw if raw.ndim == 2 else raw[:, 0])

    def _finish(self, raw: NDArray[Any]) -> Vectors:
        if self._unit:
            vectors: Vectors = raw
            return vectors
        wide = raw.astype(np.float64)
        return (wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def _session(path: Path, options: EngineOptions) -> ort.InferenceSession:
    if not path.is_file():
        raise ArtifactError(f"model file {path} does not exist; `embedserve models pull` fetches it")
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    settings.add_session_config_entry("session.intra_op.allow_spinning", "1" if options.spinning else "0")
    try:
        return ort.InferenceSession(str(path), settings, providers=[options.provider])
    except Exception as error:  # the bindings raise a different type for each of ORT's status codes
        reason = str(error).split("\n")[0].replace(str(path), path.name)
        raise ArtifactError(f"{path.name} does not load in ONNX Runtime: {reason}") from error


def _pool(tokens: NDArray[np.float32], mask: NDArray[np.int64], pooling: Pooling) -> NDArray[np.float32]:
    """[n, t, d] to [n, d]; sums each row alone, so that padding and neighbours leave its bits as they are."""
    if pooling == "cls":
        first: NDArray[np.float32] = tokens[:, 0]
        return first
    return np.stack([row[: int(m.sum())].mean(axis=0) for row, m in zip(tokens, mask, strict=True)])

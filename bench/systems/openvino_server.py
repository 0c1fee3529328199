"""OpenVINO behind LitServe, as its documentation advises for throughput; runs in an environment of its own."""

import argparse
from pathlib import Path
from typing import Any

import litserve
import numpy as np
import openvino
from tokenizers import Tokenizer

PRECISIONS = ("f32", "bf16")  # of the products; a processor without bfloat16 computes the second as the first
LONGEST = 256
BATCH = 32  # texts of a run; similar lengths lie together


class Engine:
    """The model in one precision, with a request for each stream that OpenVINO chose."""

    def __init__(self, folder: Path, precision: str) -> None:
        """Compile it."""
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_padding()
        self.tokenizer.enable_truncation(LONGEST)
        settings = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
        core = openvino.Core()
        self.model = core.compile_model(core.read_model(folder / "model.onnx"), "CPU", settings)
        self.names = {name for port in self.model.inputs for name in port.get_names()}
        self.runs = openvino.AsyncInferQueue(self.model)
        self.runs.set_callback(self._done)

    def embed(self, texts: list[str]) -> Any:
        """Normalised means of the last hidden states, float32 of shape ``(texts, 384)``."""
        vectors = np.empty((len(texts), 384), np.float32)
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
        for at in range(0, len(order), BATCH):
            places = order[at : at + BATCH]
            encodings = self.tokenizer.encode_batch([texts[n] for n in places])
            ids = np.array([e.ids for e in encodings], np.int64)
            mask = np.array([e.attention_mask for e in encodings], np.int64)
            feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            self.runs.start_async({k: v for k, v in feeds.items() if k in self.names}, (vectors, places, mask))
        self.runs.wait_all()
        return vectors

    @staticmethod
    def _done(request: Any, given: Any) -> None:
        vectors, places, mask = given
        weights = mask[:, :, None].astype(np.float32)
        means = (request.get_output_tensor(0).data * weights).sum(1) / weights.sum(1)
        vectors[places] = means / np.linalg.norm(means, axis=1, keepdims=True)


class EmbeddingService(litserve.LitAPI):  # type: ignore[misc]
    """OpenAI's route and fields; the model's name is its precision."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        """Serve the model in ``folder``."""
        super().__init__(**settings)
        self.folder = folder

    def setup(self, _: str) -> None:
        """Load the model in the worker."""
        self.engines = {precision: Engine(self.folder, precision) for precision in PRECISIONS}

    def decode_request(self, request: dict[str, Any]) -> tuple[str, list[str]]:
        """The precision and texts of a request."""
        given = request["input"]
        return request["model"], [given] if isinstance(given, str) else list(given)

    def predict(self, requests: list[tuple[str, list[str]]]) -> list[list[list[float]]]:
        """Embed the texts of a batch of requests."""
        found: list[list[list[float]]] = [[] for _ in requests]
        for precision, engine in self.engines.items():
            asked = [(n, texts) for n, (wanted, texts) in enumerate(requests) if wanted == precision]
            vectors = iter(engine.embed([text for _, texts in asked for text in texts]).tolist())
            for n, texts in asked:
                found[n] = [next(vectors) for _ in texts]
        return found

    def encode_response(self, vectors: list[list[float]]) -> dict[str, Any]:
        """The answer to a request."""
        return {"data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]}


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    api = EmbeddingService(options.model, max_batch_size=32, batch_timeout=0.001, api_path="/v1/embeddings")
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=60).run(
        host="127.0.0.1", port=options.port, generate_client_file=False, log_level="error"
    )


if __name__ == "__main__":
    main()

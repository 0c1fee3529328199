"""fastembed behind LitServe, batched as LitServe's documentation does it; runs in an environment of its own."""

import argparse
from typing import Any

import litserve
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType

NAME = "local/all-MiniLM-L6-v2"
DIMENSIONS = 384


class EmbeddingService(litserve.LitAPI):  # type: ignore[misc]
    """OpenAI's route and fields."""

    def __init__(self, folder: str, **settings: Any) -> None:
        """Serve the model in ``folder``."""
        super().__init__(**settings)
        self.folder = folder

    def setup(self, _: str) -> None:
        """Load the model in the worker."""
        source = ModelSource(hf=NAME)  # required, but never used: the files are given
        TextEmbedding.add_custom_model(
            NAME, pooling=PoolingType.MEAN, normalization=True, sources=source, dim=DIMENSIONS, model_file="model.onnx"
        )
        self.model = TextEmbedding(NAME, specific_model_path=self.folder, local_files_only=True)

    def decode_request(self, request: dict[str, Any]) -> list[str]:
        """The texts of a request."""
        given = request["input"]
        return [given] if isinstance(given, str) else list(given)

    def predict(self, requests: list[list[str]]) -> list[list[list[float]]]:
        """Embed the texts of a batch of requests."""
        vectors = iter(self.model.embed([text for texts in requests for text in texts], batch_size=256))
        return [[next(vectors).tolist() for _ in texts] for texts in requests]

    def encode_response(self, vectors: list[list[float]]) -> dict[str, Any]:
        """The answer to a request."""
        return {"data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]}


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    options = parser.parse_args()
    api = EmbeddingService(options.model, max_batch_size=32, batch_timeout=0.001, api_path="/v1/embeddings")
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=60).run(
        host="127.0.0.1", port=options.port, generate_client_file=False, log_level="error"
    )


if __name__ == "__main__":
    main()

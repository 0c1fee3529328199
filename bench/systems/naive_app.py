"""What a newcomer writes after Ray's documentation: a FastAPI ingress, a batched replica, Serve's defaults."""

import argparse
import asyncio
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import ray
from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve
from ray.serve.handle import DeploymentHandle
from tokenizers import Tokenizer


class Request(BaseModel):
    """OpenAI's fields."""

    model: str
    input: list[str]


@serve.deployment
class Encoder:
    """One ONNX session, batched by requests."""

    def __init__(self, graph: str, tokenizer: str) -> None:
        """Load the model."""
        self.session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(tokenizer)
        self.tokenizer.enable_padding()
        self.tokenizer.enable_truncation(256)

    @serve.batch(max_batch_size=32)
    async def embed(self, texts: list[str]) -> list[list[float]]:
        """Embed a batch of texts."""
        encodings = self.tokenizer.encode_batch(texts)
        feeds = {
            "input_ids": np.array([e.ids for e in encodings], np.int64),
            "attention_mask": np.array([e.attention_mask for e in encodings], np.int64),
        }
        wanted = {i.name for i in self.session.get_inputs()}
        vectors: list[list[float]] = self.session.run(None, {k: v for k, v in feeds.items() if k in wanted})[0].tolist()
        return vectors

    async def __call__(self, text: str) -> list[float]:
        """Embed one text."""
        vector: Any = await self.embed(text)
        return list(vector)


app = FastAPI()


@serve.deployment
@serve.ingress(app)
class Ingress:
    """HTTP."""

    def __init__(self, fp32: DeploymentHandle[Any], int8: DeploymentHandle[Any]) -> None:
        """Keep the encoders' handles."""
        self.encoders = {"fp32": fp32, "int8": int8}

    @app.post("/v1/embeddings")
    async def embeddings(self, request: Request) -> dict[str, Any]:
        """Answer as OpenAI does."""
        encoder = self.encoders[request.model]
        vectors = await asyncio.gather(*(encoder.remote(text) for text in request.input))
        return {"data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]}


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--fp32", type=Path, required=True)
    parser.add_argument("--int8", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with tempfile.TemporaryDirectory(prefix="naive-", dir="/tmp") as folder:
        ray.init(address="local", num_cpus=8, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
        serve.start(http_options={"host": "127.0.0.1", "port": options.port})
        encoders = [
            Encoder.options(name=path.stem).bind(str(path), str(options.tokenizer))  # type: ignore[attr-defined]
            for path in (options.fp32, options.int8)
        ]
        serve.run(Ingress.bind(*encoders))  # type: ignore[attr-defined]
        stop.wait()
        ray.shutdown()


if __name__ == "__main__":
    main()

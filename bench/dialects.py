"""What one text costs through each protocol: a running service is asked in all of them, in turns, with a new text each time.

    python -m bench.dialects --url http://127.0.0.1:8000 --grpc 127.0.0.1:9000

The time is a client's: from before its request is made until its answer is read. Each way has one connection, which it keeps.
With ``--cached`` the text is the same each time.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import grpc

from bench.report.tables import table
from deployments.http.grpc.protocol import INFERENCE, message

Ask = Callable[[str], None]
OPENAI: Final = "/v1/embeddings"
WARM_UP: Final = 20  # requests of each way that do not count
WORDS: Final = "a sentence of about thirteen tokens as people write when they search for"


def bodies(model: str) -> Mapping[str, tuple[str, Callable[[str], Any]]]:
    """By way, the path of a request and what makes its body of a text."""
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1]}
    return {
        OPENAI: (OPENAI, lambda text: {"model": model, "input": text}),
        "Azure's path": (f"/openai/deployments/{model}/embeddings?api-version=1", lambda text: {"input": text}),
        "/embed": (f"/embed?model={model}", lambda text: {"inputs": text}),
        "/api/embed": ("/api/embed", lambda text: {"model": model, "input": text}),
        "/v2/embed": ("/v2/embed", lambda text: {"model": model, "input_type": "search_query", "texts": [text]}),
        "/v2/models/…/infer": (f"/v2/models/{model}/infer", lambda text: {"inputs": [{**tensor, "data": [text]}]}),
        "/vectors": ("/vectors", lambda text: {"text": text, "config": {"pooling_strategy": "masked_mean"}}),
    }


def over_http(url: str, path: str, body: Callable[[str], Any], headers: Mapping[str, str]) -> Ask:
    """One kept connection."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port or 80, timeout=60)

    def ask(text: str) -> None:
        connection.request("POST", path, json.dumps(body(text)), {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {content.decode()}")

    return ask


def over_grpc(address: str, model: str, metadata: Sequence[tuple[str, str]]) -> Ask:
    """One channel."""
    call = grpc.insecure_channel(address).unary_unary(
        f"/{INFERENCE}/ModelInfer", response_deserializer=message("inference.ModelInferResponse").FromString
    )
    request_class = message("inference.ModelInferRequest")

    def ask(text: str) -> None:
        request = request_class(model_name=model)
        request.inputs.add(name="text", datatype="BYTES", shape=[1])
        content = text.encode()
        request.raw_input_contents.append(len(content).to_bytes(4, "little") + content)
        call(request.SerializeToString(), timeout=60, metadata=metadata)

    return ask


def measure(ways: Mapping[str, Ask], rounds: int, requests: int, *, cached: bool = False) -> dict[str, list[float]]:
    """The median time of a request in each round, seconds, by way."""
    first = time.time_ns() % 10**9
    number = itertools.repeat(first) if cached else itertools.count(first)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, ask in ways.items():
            times = list(_times(ask, number, WARM_UP + requests))[WARM_UP:]
            found[name].append(statistics.median(times))
    return found


def _times(ask: Ask, number: Iterator[int], requests: int) -> Iterator[float]:
    for _ in range(requests):
        text = f"{WORDS} {next(number)}"
        began = time.perf_counter()
        ask(text)
        yield time.perf_counter() - began


def summary(found: Mapping[str, list[float]]) -> str:
    """A table: the median of the rounds, and that of each round's ratio to OpenAI's route."""
    rows = []
    for name, medians in found.items():
        ratios = [mine / theirs for mine, theirs in zip(medians, found[OPENAI], strict=True)]
        rows.append([name, f"{statistics.median(medians) * 1000:.2f}", f"{statistics.median(ratios):.2f}"])
    return table(["one text", "ms", f"÷ {OPENAI}"], rows)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.dialects", description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--grpc", help="host:port; without it gRPC is left out")
    parser.add_argument("--model", default="text-embedding")
    parser.add_argument("--key", help="an API key")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=200, help="of each way in each round")
    parser.add_argument("--cached", action="store_true", help="the same text each time")
    options = parser.parse_args()
    headers = {"authorization": f"Bearer {options.key}"} if options.key else {}
    ways = {name: over_http(options.url, *way, headers) for name, way in bodies(options.model).items()}
    if options.grpc:
        ways["gRPC ModelInfer"] = over_grpc(options.grpc, options.model, tuple(headers.items()))
    print(summary(measure(ways, options.rounds, options.requests, cached=options.cached)))


if __name__ == "__main__":
    main()

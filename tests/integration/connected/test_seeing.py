"""The access log and the traces of a running service, read where operators read them."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.integration.connected.conftest import Connected
from tests.integration.isolated import Isolated
from tests.integration.waiting import wait
from tests.servers.otlp import Collector

SECRET = "boots that nobody may read about"
KEY_SECRET, KEY = b"the secret of the exposure log", "a customer whom no log names"
REFERENCE = "text-embedding@1.0.0"
MANY = 32


@dataclass
class Seen:
    service: Isolated
    collector: Collector
    client: httpx2.Client

    def lines(self) -> list[dict[str, Any]]:
        """The access log."""
        files = [path for path in self.service.folder.rglob("access_*.log") if path.is_file()]
        return [json.loads(line) for path in sorted(set(files)) for line in path.read_text().splitlines()]

    def line(self, request_id: str) -> dict[str, Any]:
        """The one line of a request."""
        wait(f"the line of {request_id}", lambda: any(line["request_id"] == request_id for line in self.lines()))
        (found,) = {json.dumps(line) for line in self.lines() if line["request_id"] == request_id}
        return json.loads(found)  # type: ignore[no-any-return]

    def embed(self, text: str = SECRET, **headers: str) -> httpx2.Response:
        return self.client.post("/v1/embeddings", json={"model": "text-embedding", "input": text}, headers=headers)


@pytest.fixture(scope="module")
def seen(connected: Connected) -> Iterator[Seen]:
    secret = connected.running.folder / "exposures"
    secret.write_bytes(KEY_SECRET)
    exposures = {"exposures": {"secret_file": str(secret.absolute())}}
    connected.configure(cache={"bytes": 0}, experiments=exposures)  # no cache: every request reaches the encoder
    with connected.running.client() as client:
        yield Seen(connected.running, connected.collector, client)


def new_trace(sampled: bool = True) -> tuple[str, str, str]:
    """Trace, span and header of a client that traces."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return trace, span, f"00-{trace}-{span}-{'01' if sampled else '00'}"


def test_a_request_leaves_a_line_with_its_artifact_and_its_times(seen: Seen) -> None:
    answer = seen.embed(**{"x-request-id": "a-line-of-its-own"})
    assert answer.status_code == 200
    line = seen.line("a-line-of-its-own")
    assert (line["model"], line["version"]) == tuple(REFERENCE.split("@"))
    assert line["hash"] == answer.headers["x-model-hash"]
    assert line["numerics"] == answer.headers["x-model-numerics"]
    assert (line["status"], line["error"], line["cache"]) == (200, None, "miss")
    assert (line["method"], line["path"], line["items"]) == ("POST", "/v1/embeddings", 1)
    assert line["tokens"] == answer.json()["usage"]["prompt_tokens"]
    stages = [line[name] for name in ("queue_ms", "preprocess_ms", "inference_ms")]
    assert all(value > 0 for value in stages)
    assert sum(stages) <= line["total_ms"]


def test_a_request_without_an_id_is_found_by_the_one_that_it_was_given(seen: Seen) -> None:
    assert seen.line(seen.embed().headers["x-request-id"])["status"] == 200


@pytest.mark.parametrize(
    ("body", "headers", "status", "error"),
    [
        ({"model": "text-embedding", "input": ""}, {}, 400, "InputError"),
        ({"model": "text-embedding@9.9.9", "input": "x"}, {}, 404, "ModelNotFoundError"),
        ({"model": "text-embedding", "input": SECRET}, {"x-request-timeout-seconds": "0.0001"}, 504, "DeadlineError"),
    ],
    ids=["an empty input", "an unknown version", "a deadline that passed"],
)
def test_a_request_that_failed_leaves_a_line_and_a_span_that_say_so(
    seen: Seen, body: dict[str, Any], headers: dict[str, str], status: int, error: str
) -> None:
    trace, _, traceparent = new_trace()
    answer = seen.client.post("/v1/embeddings", json=body, headers={**headers, "traceparent": traceparent})
    assert answer.status_code == status
    line = seen.line(answer.headers["x-request-id"])
    assert (line["status"], line["error"], line["inference_ms"]) == (status, error, None)
    wait("the span", lambda: "POST /v1/embeddings" in seen.collector.of(trace))
    (span,) = seen.collector.of(trace)["POST /v1/embeddings"]
    assert span.attributes["http.response.status_code"] == status
    assert span.attributes["error.type"] == error
    assert span.failed == (status >= 500)


def test_a_request_is_traced_from_its_client_to_the_inference(seen: Seen) -> None:
    trace, client, traceparent = new_trace()
    answer = seen.embed(traceparent=traceparent)
    assert seen.line(answer.headers["x-request-id"])["trace_id"] == trace
    wanted = ["POST /v1/embeddings", "queue", f"call {REFERENCE}", f"encode {REFERENCE}", "preprocess", "batch"]
    wait("all spans", lambda: {*wanted, "inference"} == set(seen.collector.of(trace)))
    spans = seen.collector.of(trace)
    request, _, call, encode, preprocess, batch = (spans[name][0] for name in wanted)
    (inference,) = spans["inference"]
    assert [span.parent for span in (request, call, encode, preprocess, batch, inference)] == [
        *(client, request.id, call.id, encode.id, encode.id, batch.id)
    ]
    assert {span.parent for span in spans["queue"]} == {request.id, encode.id}
    for outer, inner in [(request, call), (call, encode), (encode, batch), (batch, inference)]:
        assert inner.within(outer)
    assert batch.links == {encode.id, request.id}
    assert call.links == {request.id}
    assert {request.service, call.service} == {"embedserve-gateway"}
    assert {encode.service, batch.service} == {"embedserve-encoder"}
    assert request.attributes["embedserve.request_id"] == answer.headers["x-request-id"]
    assert request.attributes["embedserve.hash"] == answer.headers["x-model-hash"]
    assert seen.collector.content_types == {"application/x-protobuf"}


def test_a_batch_links_to_every_request_in_it(seen: Seen) -> None:
    traces = []

    def send() -> None:
        """Many at once: which of them meet in a batch is chance."""
        new = [new_trace() for _ in range(MANY)]
        with ThreadPoolExecutor(MANY) as pool:
            answers = list(pool.map(lambda trace: seen.embed(f"{SECRET} {trace[0]}", traceparent=trace[2]), new))
        assert {answer.status_code for answer in answers} == {200}
        traces.extend(new)

    def requests() -> set[str]:
        return {span.id for trace, *_ in traces for span in seen.collector.of(trace).get("POST /v1/embeddings", [])}

    def batches() -> list[set[str]]:
        ids = {trace for trace, *_ in traces}
        return [span.links for span in list(seen.collector.spans) if span.name == "batch" and span.trace in ids]

    def complete() -> bool:
        return len(requests()) == len(traces) and requests() <= set().union(*batches())

    def shared() -> bool:
        send()
        wait("links to every request", complete)
        return max(len(links & requests()) for links in batches()) > 1

    wait("a batch of several requests", shared)


def test_who_does_not_want_to_be_traced_is_not(seen: Seen) -> None:
    trace, _, traceparent = new_trace(sampled=False)
    answer = seen.embed(traceparent=traceparent)
    assert seen.line(answer.headers["x-request-id"])["trace_id"] is None
    later, _, traceparent = new_trace()
    seen.embed(traceparent=traceparent)
    wait("a later request's spans", lambda: "inference" in seen.collector.of(later))
    assert seen.collector.of(trace) == {}


def test_probes_leave_no_line(seen: Seen) -> None:
    assert seen.client.get("/health/ready").status_code == 200
    seen.line(seen.embed().headers["x-request-id"])
    assert not [line for line in seen.lines() if line["path"].startswith("/health")]


def test_nobody_learns_what_was_embedded(seen: Seen) -> None:
    seen.line(seen.embed().headers["x-request-id"])
    said = [str(span.raw) for span in seen.collector.spans] + [json.dumps(line) for line in seen.lines()]
    assert len(said) > MANY
    assert not [text for text in said if SECRET in text]
    assert SECRET not in seen.service.logs()


def test_line_and_span_know_a_routing_key_by_its_hash_alone(seen: Seen) -> None:
    trace, _, traceparent = new_trace()
    answer = seen.embed(**{"x-routing-key": KEY, "traceparent": traceparent})
    line = seen.line(answer.headers["x-request-id"])
    hashed = hmac.new(KEY_SECRET, KEY.encode(), hashlib.sha256).hexdigest()
    assert (line["key_hash"], line["chosen"], line["version"]) == (hashed, "weight", "1.0.0")
    wait("the span", lambda: "POST /v1/embeddings" in seen.collector.of(trace))
    (span,) = seen.collector.of(trace)["POST /v1/embeddings"]
    noted = {name: span.attributes[f"embedserve.{name}"] for name in ("experiment", "chosen", "key_hash")}
    assert noted == {name: line[name] for name in noted}
    assert KEY not in seen.service.logs()


def test_the_access_log_can_be_switched_off_while_the_service_runs(seen: Seen, connected: Connected) -> None:
    """Last, because it stays off."""
    connected.configure(cache={"bytes": 0}, access_log=False)

    def quiet() -> bool:
        before = len(seen.lines())
        answers = [seen.embed() for _ in range(3)]
        marker = new_trace()
        answers.append(seen.embed(traceparent=marker[2]))
        wait("the last request's spans", lambda: "inference" in seen.collector.of(marker[0]))
        return {answer.status_code for answer in answers} == {200} and len(seen.lines()) == before

    wait("an access log that stays as it is", quiet)

"""A job's requests to a service that refuses, goes away, or does not take one of the inputs."""

from __future__ import annotations

import base64
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import orjson
import pytest

from deployments.backfill.expectation import Expectation
from deployments.backfill.via_service import client as service_client
from deployments.backfill.via_service import lane as service_lane
from deployments.backfill.via_service.client import ServiceClient
from deployments.backfill.via_service.lane import Lane
from models.errors import InputError, JobError

HASH, CLASS = "0" * 64, "cpu/fp32"
VECTOR = base64.b64encode(np.ones(4, np.float32).tobytes()).decode()


@contextmanager
def serving(refusals: int) -> Iterator[tuple[ServiceClient, list[int]]]:
    """A client of a server that first refuses so many requests, and then takes every text but \"bad\"; the lengths of what it was asked."""
    asked: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            texts = orjson.loads(self.rfile.read(int(self.headers["content-length"])))["input"]
            asked.append(len(texts))
            status, document = 200, {"data": [{"embedding": VECTOR} for _ in texts]}
            if len(asked) <= refusals:
                status, document = 503, {"error": {"message": "the queue is full", "code": "overloaded"}}
            elif "bad" in texts:
                status, document = 400, {"error": {"message": "one of them is bad", "code": "too_bad"}}
            data = orjson.dumps(document)
            self.send_response(status)
            headers = {"x-model-hash": HASH, "x-model-numerics": CLASS, "content-length": str(len(data))}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    client = ServiceClient(f"http://127.0.0.1:{server.server_address[1]}", "x@1.0.0", Expectation(HASH, CLASS), 2)
    try:
        yield client, asked
    finally:
        client.close()
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_refusal_is_asked_again_and_makes_the_lane_smaller() -> None:
    lane = Lane()
    while lane.window.places < 8:
        lane.leave(lane.take(4), answered=True)
    before = lane.window.size
    with serving(1) as (client, asked):
        assert len(client.embed(["one", "two"], lane)) == 2
    assert len(asked) >= 2
    assert lane.window.size < before


def test_a_service_that_refuses_for_long_is_told_of_meanwhile_and_ends_the_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(service_lane, "SAY_S", 0.2)
    monkeypatch.setattr(service_client, "PATIENCE_S", 1.0)
    with serving(1000) as (client, _), pytest.raises(JobError, match="it answers 503: the queue is full, for 1 s"):
        client.embed(["one"], Lane())
    (line, *_) = capsys.readouterr().err.splitlines()
    assert "it answers 503: the queue is full; for" in line


def test_of_many_inputs_only_the_one_that_the_service_does_not_take_is_bad() -> None:
    lane = Lane()
    while lane.window.places < 16:
        lane.leave(lane.take(4), answered=True)
    texts = [*"abcdefg", "bad"]
    with serving(0) as (client, _):
        found = client.embed(texts, lane)
    assert [isinstance(one, InputError) for one in found] == [text == "bad" for text in texts]
    assert isinstance(found[-1], InputError)
    assert found[-1].code == "too_bad"

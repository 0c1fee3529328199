"""Every answer has its line, its count and its request id, whoever gave it; and no route goes past a layer."""

from __future__ import annotations

import asyncio
import re
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.auth.api_keys import new_key
from deployments.auth.authenticator import Authenticator
from deployments.auth.key_file import changing
from deployments.http.app import routing
from deployments.http.kserve_v2.refusals import REFUSED
from deployments.http.middleware.request_log import PROBES
from tests.deployments.http.service import NUMERICS, TEXT, Application, application, serving

NO_VERSION = ("*", "*")
M = ("m", "1")
EMBED, ADMIN = new_key("shop", ("embed",)), new_key("ops", ("admin",))
BOTH = {"parameters": {"binary_data_size": 0}}
INFER = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [TEXT]}]}
AZURE = "/openai/deployments/{deployment}/embeddings"
BROKEN_FORM = {"content": b"x", "headers": {"content-type": "multipart/form-data"}}  # without a boundary


@dataclass(frozen=True)
class Case:
    """A request, its answer, and the model and version that it is counted under."""

    method: str
    path: str
    status: int
    counted: tuple[str, str] = NO_VERSION
    sent: dict[str, Any] = field(default_factory=dict)
    route: str = ""  # of which this is an instance, where that is not the path
    shed: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path[:40]} {self.status}"


def embed(status: int, counted: tuple[str, str] = NO_VERSION, shed: str | None = None, **sent: Any) -> Case:
    return Case("POST", "/v1/embeddings", status, counted, sent or {"json": {"model": "m", "input": TEXT}}, shed=shed)


ROUTES = [
    embed(200, M),
    Case(
        "POST",
        "/v1/embeddings/image",
        400,
        ("image-embedding", "1"),
        {"content": b"no image", "headers": {"content-type": "image/png"}},
    ),
    Case("GET", "/v1/models", 200),
    Case("HEAD", "/v1/models", 200),
    Case("GET", "/v1/models/m", 200, route="/v1/models/{model:path}"),
    Case("GET", "/v2", 200),
    Case("GET", "/v2/models/m", 200, route="/v2/models/{model:path}"),
    Case("GET", "/v2/models/m/versions/1", 200, route="/v2/models/{model:path}/versions/{version}"),
    Case("GET", "/v2/models/m/ready", 503, route="/v2/models/{model:path}/ready"),
    Case("GET", "/v2/models/m/versions/1/ready", 503, route="/v2/models/{model:path}/versions/{version}/ready"),
    Case("POST", "/v2/models/m/infer", 200, M, {"json": INFER}, "/v2/models/{model:path}/infer"),
    Case(
        "POST",
        "/v2/models/m/versions/1/infer",
        200,
        M,
        {"json": INFER},
        "/v2/models/{model:path}/versions/{version}/infer",
    ),
    Case("GET", "/v2/models/m/config", 200, route="/v2/models/{model:path}/config"),
    Case("GET", "/v2/models/m/versions/1/config", 200, route="/v2/models/{model:path}/versions/{version}/config"),
    Case("POST", "/v2/repository/index", 200, sent={"json": {}}),
    *(
        Case("GET", path.replace("{rest:path}", "status").replace("{model:path}", "m"), 501, route=path)
        for path in REFUSED
    ),
    Case("POST", "/vectors", 200, M, {"json": {"text": TEXT}}),
    Case("POST", "/vectorize", 400, ("image-embedding", "1"), {"json": {"images": ["no picture"]}}),
    Case("GET", "/meta", 200),
    Case("GET", "/console", 200),
    Case("GET", "/console/main.js", 200, route="/console/{file}"),
    Case("GET", "/console/key", 200),
    Case("GET", "/docs", 200),
    Case("GET", "/openapi.json", 200),
    Case("POST", "/embeddings", 200, M, {"json": {"model": "m", "input": TEXT}}),
    Case("POST", AZURE.format(deployment="m"), 200, M, {"json": {"input": TEXT}}, AZURE),
    Case("GET", "/models", 200),
    Case("GET", "/models/m", 200, route="/models/{model:path}"),
    Case("POST", "/embed", 200, M, {"json": {"inputs": TEXT}}),
    Case("POST", "/", 200, M, {"json": {"inputs": TEXT}}),
    Case("GET", "/info", 200),
    Case("POST", "/api/embed", 200, M, {"json": {"model": "m", "input": TEXT}}),
    Case("POST", "/api/embeddings", 200, M, {"json": {"model": "m", "prompt": TEXT}}),
    Case("GET", "/api/tags", 200),
    Case("GET", "/api/version", 200),
    Case("POST", "/v2/embed", 200, M, {"json": {"model": "m", "input_type": "image", "texts": [TEXT]}}),
]
REFUSALS = [
    embed(400, content=b"{", headers={"content-type": "application/json"}),
    embed(400, json={"model": "m", "input": []}),
    embed(400, M, json={"model": "m", "input": ""}),
    embed(404, json={"model": "nothing", "input": TEXT}),
    embed(413, content=b"x" * 2000, headers={"content-type": "application/json"}),
    embed(415, content=b"x", headers={"content-type": "text/plain"}),
    embed(504, M, "deadline", json={"model": "m", "input": "new"}, headers={"x-request-timeout-seconds": "0.0001"}),
    Case("POST", "/v1/embeddings/image", 400, sent=BROKEN_FORM),
    Case("POST", "/v1/embeddings/image", 415, sent={"content": b"x", "headers": {"content-type": "text/plain"}}),
    Case("POST", "/v2/models/m/infer", 400, sent={"json": {}}),
    Case("POST", "/v2/models/m/infer", 400, sent={"json": {"inputs": [{**INFER["inputs"][0], **BOTH}]}}),
    Case("POST", "/v2/models/nothing/infer", 404, sent={"json": INFER}),
    Case("GET", "/v1/embeddings", 405),
    Case("PUT", "/v1/embeddings", 405),
    Case("DELETE", "/v2/models/m/infer", 405),
    Case("GET", "/nothing", 404),
    Case("POST", "/nothing", 404),
    Case("GET", "/v1/models/nothing", 404),
    Case("GET", "/docs/", 307),
]

FORM = b'--b\r\ncontent-disposition: form-data; name="file"\r\n\r\nno picture\r\n--b--\r\n'
STRANGE_HEADERS = {
    "a form in punycode": (
        "/v1/embeddings/image",
        {"content-type": "multipart/form-data; charset=punycode; boundary=b"},
    ),
    "a form in a codec that always fails": (
        "/v1/embeddings/image",
        {"content-type": "multipart/form-data; charset=undefined; boundary=b"},
    ),
    "a length of 5,000 digits": ("/v2/models/m/infer", {"inference-header-content-length": "9" * 5000}),
    "a length in superscript": ("/v2/models/m/infer", {"inference-header-content-length": b"\xb2"}),
    "a deadline in superscript": ("/v1/embeddings", {"x-request-timeout-seconds": b"\xb2"}),
    "a deadline of 5,000 digits": ("/v1/embeddings", {"x-request-timeout-seconds": "1" * 5000}),
}


@dataclass
class Running:
    application: Application
    client: httpx2.Client

    def ask(self, case: Case) -> httpx2.Response:
        return self.client.request(case.method, case.path, **case.sent)

    def check(self, case: Case, answer: httpx2.Response, before: Counter[Any], shed: Counter[Any]) -> dict[str, Any]:
        """That an answer is as the case says, and that it left its id, its line and its count."""
        assert answer.status_code == case.status, answer.text
        (request_id,) = answer.headers.get_list("x-request-id")
        line = self.application.line(request_id)
        assert (line["method"], line["path"], line["status"]) == (case.method, case.path, case.status)
        assert self.application.requests() - before == Counter({(*case.counted, str(case.status)): 1})
        assert self.application.shed() - shed == Counter({(*case.counted, case.shed): 1} if case.shed else {})
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
        return line

    def passes(self, case: Case) -> dict[str, Any]:
        before, shed = self.application.requests(), self.application.shed()
        return self.check(case, self.ask(case), before, shed)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    built = application(tmp_path_factory.mktemp("open"), limits={"body_bytes": 1024})
    with serving(built.app) as client:
        yield Running(built, client)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With API keys."""
    folder = tmp_path_factory.mktemp("closed")
    with changing(folder / "keys") as keys:
        keys += [EMBED[1], ADMIN[1]]
    auth = Authenticator("production", {"EMBEDSERVE_API_KEYS_FILE": str(folder / "keys")})
    auth.configure("keys")
    built = application(folder, auth, rate={"keys": {"shop": 1}, "burst_s": 1})
    with serving(built.app) as client:
        yield Running(built, client)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_every_route_is_among_those_asked(running: Running) -> None:
    embeddings = running.application.embeddings
    routes = routing(embeddings, Authenticator("development", {})).routes
    asked = {(case.route or case.path, case.method) for case in ROUTES} | {(path, "GET") for path in PROBES}
    assert {(route.path, min(route.methods or ())) for route in routes if isinstance(route, Route)} == {
        (path, method) for path, method in asked if method != "HEAD"
    }


@pytest.mark.parametrize("case", [*ROUTES, *REFUSALS], ids=str)
def test_an_answer_has_a_request_id_a_line_and_a_count(running: Running, case: Case) -> None:
    running.passes(case)


def test_the_numerics_class_is_in_the_header_in_the_list_and_in_the_log(running: Running) -> None:
    sent = {"json": {"model": "m", "input": TEXT}, "headers": {"x-request-id": "which-numerics"}}
    assert running.client.post("/v1/embeddings", **sent).headers["x-model-numerics"] == NUMERICS
    assert running.client.post("/v2/models/m/infer", json=INFER).headers["x-model-numerics"] == NUMERICS
    assert running.application.line("which-numerics")["numerics"] == NUMERICS
    assert running.client.get("/v1/models/m").json()["numerics"] == NUMERICS


@pytest.mark.parametrize("name", STRANGE_HEADERS)
def test_a_header_that_no_client_means_is_refused_and_breaks_nothing(running: Running, name: str) -> None:
    path, headers = STRANGE_HEADERS[name]
    given = {"content": FORM} if "image" in path else {"json": {"model": "m", "input": TEXT}}
    answer = running.client.post(path, headers=headers, **given)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error if path.startswith("/v2") else error["message"]


@pytest.mark.parametrize("path", sorted(PROBES))
def test_probes_have_a_request_id_and_neither_line_nor_count(running: Running, path: str) -> None:
    before, lines = running.application.requests(), len(running.application.lines())
    answer = running.client.get(path)
    assert answer.headers["x-request-id"]
    running.passes(embed(200, M))
    assert running.application.requests() - before == Counter({(*M, "200"): 1})
    assert len(running.application.lines()) == lines + 1


def test_a_missing_key_a_wrong_one_and_one_without_the_scope(closed: Running) -> None:
    closed.passes(embed(401))
    wrong = closed.passes(embed(403, headers=bearer("es_wrong"), content=b""))
    assert (wrong["error"], wrong["client"]) == ("ForbiddenError", None)
    closed.passes(embed(403, headers=bearer(ADMIN[0]), content=b""))
    closed.passes(Case("GET", "/nothing", 401))


def test_a_client_over_its_rate_counts_under_the_version_that_it_asked(closed: Running) -> None:
    sent = {"json": {"model": "m", "input": TEXT}, "headers": bearer(EMBED[0])}
    closed.passes(embed(200, M, **sent))
    line = closed.passes(embed(429, M, "rate", **sent))
    assert (line["client"], line["error"]) == ("shop", "RateLimitError")


def test_what_admission_refuses(tmp_path: Path) -> None:
    built = application(tmp_path, queue={"open_requests": 1})
    with serving(built.app) as client, socket.create_connection(("127.0.0.1", client.base_url.port)) as waiting:
        body = b'{"model": "m", "input": "a text whose encoder never answers"}'
        waiting.sendall(b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        asked = Running(built, client)
        while (answer := asked.ask(embed(503))).status_code == 200:  # until the other one has arrived
            pass
        before = built.requests()
        line = built.line(answer.headers["x-request-id"])
        assert (line["status"], line["error"], line["model"]) == (503, "UnavailableError", None)
        assert before[(*NO_VERSION, "503")] == built.shed()[(*NO_VERSION, "capacity")] == 1
        assert "1 requests are open (limit 1)" in answer.json()["error"]["message"]
        assert 1 <= int(answer.headers["retry-after"]) <= 3
        asked.passes(embed(503, NO_VERSION, "capacity"))
        asked.passes(Case("GET", "/v1/models", 200))
        assert client.get("/health/live").status_code == 200


def test_a_body_that_does_not_arrive(tmp_path: Path) -> None:
    built = application(tmp_path, limits={"body_s": 0.1})
    with serving(built.app) as client, socket.create_connection(("127.0.0.1", client.base_url.port)) as slow:
        slow.sendall(b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        answer = slow.makefile("rb").read().decode()  # to its end: the connection is closed
        assert answer.startswith("HTTP/1.1 408")
        (request_id,) = re.findall("^x-request-id: (.+)\r$", answer, re.MULTILINE)
        assert built.line(request_id)["error"] == "SlowInputError"
        assert built.requests() == Counter({(*NO_VERSION, "408"): 1})


async def test_a_client_that_leaves_counts_as_499(tmp_path: Path) -> None:
    built, waits = application(tmp_path), asyncio.Event()

    async def receive() -> Message:
        waits.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(_: Message) -> None:
        raise AssertionError

    scope = {"type": "http", "method": "POST", "path": "/v1/embeddings", "headers": []}
    request = asyncio.ensure_future(built.app(scope, receive, send))  # type: ignore[arg-type]
    await waits.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert [line["status"] for line in built.lines()] == [499]
    assert built.requests() == Counter({(*NO_VERSION, "499"): 1})


class Spy:
    """What a later developer adds."""

    def __init__(self, app: ASGIApp, seen: list[tuple[str, str]]) -> None:
        self._app = app
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._seen.append((scope["method"], scope["path"]))
        await self._app(scope, receive, send)


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_layer_that_is_added_sees_every_request(tmp_path: Path, place: str) -> None:
    seen: list[tuple[str, str]] = []

    def more(layers: list[Middleware]) -> list[Middleware]:
        spy = Middleware(Spy, seen)
        return [spy, *layers] if place == "first" else [*layers, spy]

    cases = [*ROUTES, *REFUSALS, *(Case("GET", path, 0) for path in sorted(PROBES))]
    built = application(tmp_path, more=more)
    with serving(built.app) as client:
        for case in cases:
            Running(built, client).ask(case)
    assert seen == [(case.method, case.path) for case in cases]


def test_a_layer_that_fails_is_answered_counted_and_noted(tmp_path: Path) -> None:
    class Failing(Spy):
        async def __call__(self, _: Scope, __: Receive, ___: Send) -> None:
            raise RuntimeError("a defect")

    built = application(tmp_path, more=lambda layers: [*layers, Middleware(Failing, [])])
    with serving(built.app) as client:
        line = Running(built, client).passes(embed(500))
    assert line["error"] == "RuntimeError"


@pytest.mark.parametrize("asked", ["3600", "0.5"], ids=["an hour", "ten times the cap"])
def test_a_caller_holds_a_place_no_longer_than_the_configuration_allows(tmp_path: Path, asked: str) -> None:
    built = application(tmp_path, queue={"timeout_s": 0.01, "timeout_most_s": 0.05})
    with serving(built.app) as client:
        case = embed(
            504, M, "deadline", json={"model": "m", "input": "new"}, headers={"x-request-timeout-seconds": asked}
        )
        answer = Running(built, client).ask(case)
    assert answer.status_code == 504
    assert "within 0.05 s" in answer.json()["error"]["message"]


def test_the_application_starts_and_ends_as_servers_ask_it_to(tmp_path: Path) -> None:
    asked: list[Message] = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]
    told: list[str] = []

    async def receive() -> Message:
        return asked.pop()

    async def send(message: Message) -> None:
        told.append(message["type"])

    asyncio.run(application(tmp_path).app({"type": "lifespan"}, receive, send))  # type: ignore[arg-type]
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

"""API keys before a real application, asked over a socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from deployments.auth.api_keys import new_key
from deployments.auth.authenticator import Authenticator
from deployments.auth.key_file import changing
from deployments.gateway.model_registry import ModelRegistry
from deployments.http import health
from deployments.http.app import chain
from deployments.http.console import routes as console
from deployments.http.middleware.auth import CLIENT, Authentication, needed
from deployments.http.middleware.error_handler import ErrorHandler
from deployments.http.middleware.security_headers import SecurityHeaders
from deployments.http.openapi import routes as openapi
from deployments.http.openapi.page import STYLE_HASH
from deployments.http.routing import Routing
from models.errors import AuthenticationError, InputError, UnavailableError
from tests.deployments.http.service import serving

EMBED, ADMIN = new_key("shop", ("embed",)), new_key("ops", ("admin",))


async def who(request: Request) -> JSONResponse:
    return JSONResponse({"client": request.scope.get(CLIENT)})


async def fail(_: Request) -> JSONResponse:
    raise RuntimeError("a defect")


async def fail_as_asked(request: Request) -> JSONResponse:
    raise {
        "input": InputError("the input is wrong", param="input", code="empty_input"),
        "busy": UnavailableError("no room", retry_after_s=7),
        "http": HTTPException(400, "cannot be read"),
        "defect": RuntimeError("a defect"),
    }[(await request.body()).decode()]


def application(auth: Authenticator) -> ASGIApp:
    routes = [
        Route("/v1/embeddings", who, methods=["POST"]),
        Route("/v1/models", who),
        Route("/metrics", who),
        Route("/fail", fail),
        Route("/fail/{way}", fail_as_asked, methods=["POST"]),
        Route("/failing", fail_as_asked, methods=["POST"]),
        *health.routes(ModelRegistry(), auth),
        *openapi.routes(auth),
        *console.routes(auth),
    ]
    layers = [Middleware(SecurityHeaders), Middleware(ErrorHandler), Middleware(Authentication, auth)]
    return chain(layers, Routing(routes))


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    path = tmp_path_factory.mktemp("keys") / "keys"
    with changing(path) as keys:
        keys += [EMBED[1], ADMIN[1]]
    auth = Authenticator("production", {"EMBEDSERVE_API_KEYS_FILE": str(path)})
    auth.configure("keys")
    with serving(application(auth)) as client:
        yield client


@pytest.fixture(scope="module")
def open_to_all() -> Iterator[httpx2.Client]:
    with serving(application(Authenticator("development", {}))) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def problem(answer: httpx2.Response, status: int, code: str) -> None:
    assert answer.status_code == status
    error = answer.json()["error"]
    if answer.request.url.path.startswith("/v2"):  # a sentence there
        assert error
        return
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("invalid_request_error", code)


ROUTES = [
    ("POST", "/v1/embeddings", "embed"),
    ("POST", "/v1/embeddings/image", "embed"),
    ("POST", "/v2/models/text-embedding/infer", "embed"),
    ("DELETE", "/v1/models", "embed"),
    ("GET", "/v1/models", "any"),
    ("HEAD", "/v1/models", "any"),
    ("GET", "/v2/models/text-embedding", "any"),
    ("GET", "/v2", "any"),
    ("GET", "/metrics", "admin"),
    ("POST", "/metrics", "admin"),
    ("GET", "/nothing", "any"),
    ("GET", "/health/live/", "any"),
    ("GET", "//health/live", "any"),
    ("GET", "/health/live", None),
    ("GET", "/health/ready", None),
    ("GET", "/v2/health/live", None),
    ("GET", "/docs", None),
    ("GET", "/openapi.json", None),
]


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
def test_what_a_route_needs(method: str, path: str, scope: str | None) -> None:
    assert needed(method, path) == scope


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/fail", "/nothing", "/v2", "/%2e%2e/metrics", "//metrics"])
def test_without_a_key_every_route_but_health_and_description_is_closed(closed: httpx2.Client, path: str) -> None:
    answer = closed.get(path)
    problem(answer, 401, "missing_api_key")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_body_is_not_read_for_someone_without_a_key(closed: httpx2.Client) -> None:
    with socket.create_connection(("127.0.0.1", closed.base_url.port)) as connection:
        connection.sendall(b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n{")
        assert connection.recv(100).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("path", ["/health/live", "/v2/health/live", "/docs", "/openapi.json"])
def test_health_and_description_are_open(closed: httpx2.Client, path: str) -> None:
    assert closed.get(path).status_code == 200


def test_readiness_is_open_too(closed: httpx2.Client) -> None:
    assert closed.get("/health/ready").status_code == 503


def test_a_wrong_key_is_403_and_a_key_without_the_scope_too(closed: httpx2.Client) -> None:
    problem(closed.post("/v1/embeddings", headers=bearer("es_wrong")), 403, "invalid_api_key")
    problem(closed.post("/v1/embeddings", headers=bearer(ADMIN[0])), 403, "missing_scope")
    problem(closed.get("/metrics", headers=bearer(EMBED[0])), 403, "missing_scope")
    problem(closed.get("/v1/models", headers=bearer("es_wrong")), 403, "invalid_api_key")


def test_a_key_opens_what_its_scope_names_and_its_name_goes_along(closed: httpx2.Client) -> None:
    assert closed.post("/v1/embeddings", headers=bearer(EMBED[0])).json() == {"client": "shop"}
    assert closed.get("/metrics", headers=bearer(ADMIN[0])).json() == {"client": "ops"}
    assert closed.get("/v1/models", headers=bearer(ADMIN[0])).json() == {"client": "ops"}
    assert closed.get("/nothing", headers=bearer(EMBED[0])).status_code == 404


@pytest.mark.parametrize("error", ["input", "busy", "http", "defect"])
def test_a_fixed_path_without_routing_answers_errors_as_a_routed_one(open_to_all: httpx2.Client, error: str) -> None:
    direct, routed = (open_to_all.post(path, content=error) for path in ("/failing", "/fail/routed"))
    status = {"input": 400, "busy": 503, "http": 400, "defect": 500}[error]
    assert (direct.status_code, direct.json()) == (status, routed.json())
    drawn = {"date": "", "retry-after": "", "retry-after-ms": ""}
    assert {**direct.headers, **drawn} == {**routed.headers, **drawn}
    assert direct.headers.keys() == routed.headers.keys()


def test_another_method_on_a_fixed_path_is_405(open_to_all: httpx2.Client) -> None:
    answer = open_to_all.put("/v1/embeddings")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_a_client_cannot_name_itself(closed: httpx2.Client, open_to_all: httpx2.Client) -> None:
    headers = {CLIENT: "ops", "x-client": "ops"}
    assert closed.post("/v1/embeddings", headers={**bearer(EMBED[0]), **headers}).json() == {"client": "shop"}
    assert open_to_all.post("/v1/embeddings", headers=headers).json() == {"client": None}


def test_without_keys_in_development_everything_is_open(open_to_all: httpx2.Client) -> None:
    assert open_to_all.get("/metrics").status_code == 200
    assert open_to_all.post("/v1/embeddings", headers=bearer("whatever")).json() == {"client": None}


@pytest.mark.parametrize("path", ["/health/live", "/v1/models", "/nothing", "/fail", "/openapi.json"])
@pytest.mark.parametrize("service", ["closed", "open_to_all"])
def test_every_answer_carries_the_security_headers_once(
    service: str, path: str, request: pytest.FixtureRequest
) -> None:
    answer = request.getfixturevalue(service).get(path)
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert answer.headers.get_list("content-security-policy") == ["default-src 'none'; frame-ancestors 'none'"]
    assert answer.headers["cache-control"] == "no-store"


def test_the_pages_policy_allows_its_one_style_and_nothing_else(open_to_all: httpx2.Client) -> None:
    answer = open_to_all.get("/docs")
    (policy,) = answer.headers.get_list("content-security-policy")
    assert "default-src 'none'" in policy
    assert STYLE_HASH in policy
    assert "<script" not in answer.text
    assert answer.text.count("<style>") == 1


def test_the_description_names_the_keys_only_where_they_are_asked_for(
    closed: httpx2.Client, open_to_all: httpx2.Client
) -> None:
    assert "securitySchemes" not in open_to_all.get("/openapi.json").json()["components"]
    document = closed.get("/openapi.json").json()
    assert document["paths"]["/v1/embeddings"]["post"]["security"] == [{"key": []}]
    assert "403" in document["paths"]["/metrics"]["get"]["responses"]
    assert "security" not in document["paths"]["/health/live"]["get"]


def test_while_keys_cannot_be_checked_requests_and_readiness_are_503_and_say_no_path(tmp_path: Path) -> None:
    with changing(tmp_path / "keys") as keys:
        keys += [EMBED[1]]
    seconds = iter([0.0])
    auth = Authenticator(
        "production", {"EMBEDSERVE_API_KEYS_FILE": str(tmp_path / "keys")}, lambda: next(seconds, 301.0)
    )
    auth.configure("keys")
    with serving(application(auth)) as client:
        refused = client.post("/v1/embeddings", headers=bearer(EMBED[0]))
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) > 0
        ready = client.get("/health/ready")
        assert (ready.status_code, len(ready.json()["reasons"])) == (503, 1)
        assert str(tmp_path) not in refused.text + ready.text
        assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize("kind", ["websocket", "something new"])
async def test_what_is_no_request_needs_a_key_as_well(tmp_path: Path, kind: str) -> None:
    with changing(tmp_path / "keys") as keys:
        keys += [EMBED[1]]
    auth = Authenticator("production", {"EMBEDSERVE_API_KEYS_FILE": str(tmp_path / "keys")})
    auth.configure("keys")
    reached = []

    async def inner(*_: object) -> None:
        reached.append(kind)

    scope = {"type": kind, "path": "/v1/models", "headers": []}
    with pytest.raises(AuthenticationError):
        await Authentication(inner, auth)(scope, None, None)  # type: ignore[arg-type]
    assert reached == []


def test_the_console_says_beforehand_that_a_key_is_needed_and_what_a_key_may_do(
    closed: httpx2.Client, open_to_all: httpx2.Client
) -> None:
    assert ('<body class="asks-for-key">' in closed.get("/console").text) is True
    assert "<body>" in open_to_all.get("/console").text
    assert closed.get("/console/key").status_code == 401
    assert closed.get("/console/key", headers={"authorization": "Bearer es_unknown"}).status_code == 403
    for (key, _), scopes in ((EMBED, ["embed"]), (ADMIN, ["admin"])):
        answer = closed.get("/console/key", headers={"authorization": f"Bearer {key}"})
        assert (answer.json()["required"], answer.json()["scopes"]) == (True, scopes)
        assert answer.headers["cache-control"] == "no-store"
    assert open_to_all.get("/console/key").json()["required"] is False

"""What clients expect of any HTTP service: slashes, HEAD, OPTIONS, pages of other origins, conditional requests, when to come again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from pydantic import ValidationError

from deployments.auth.api_keys import new_key
from deployments.auth.authenticator import Authenticator
from deployments.auth.key_file import changing
from deployments.config.gateway import GatewayConfig
from deployments.http.retry import retry_headers
from tests.deployments.http.service import TEXT, application, serving

BODY = {"model": "m", "input": TEXT}
PAGE = "https://shop.example"
ASKS = {"origin": PAGE, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    aliases = {"text-embedding-3-small": "m", "pinned": "m@1"}
    with serving(application(tmp_path_factory.mktemp("manners"), aliases=aliases).app) as running:
        yield running


@pytest.mark.parametrize("slashes", ["/", "//"])
def test_slashes_at_the_end_mean_nothing(client: httpx2.Client, slashes: str) -> None:
    right = client.post("/v1/embeddings", json=BODY).json()["data"]
    assert client.post(f"/v1/embeddings{slashes}", json=BODY).json()["data"] == right
    assert client.get(f"/v1/models/m{slashes}").json()["id"] == "m@1"


@pytest.mark.parametrize("path", ["/v2/models", "/v2/models/", "/v2/models//"])
def test_a_path_that_lacks_its_name_is_unknown_and_leads_nowhere(client: httpx2.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["error"][:9]) == (404, "no route ")


def test_slashes_open_no_door(tmp_path: Path) -> None:
    key, stored = new_key("shop", ("embed",))
    path = tmp_path / "keys.yaml"
    with changing(path) as keys:
        keys.append(stored)
    auth = Authenticator("production", {"EMBEDSERVE_API_KEYS_FILE": str(path)})
    auth.configure("keys")
    with serving(application(tmp_path, auth).app) as client:
        bearer = {"authorization": f"Bearer {key}"}
        assert client.get("/metrics/", headers=bearer).status_code == 403
        assert client.post("/v1/embeddings/", json=BODY).status_code == 401
        assert client.get("/health/live/").status_code == 200
        assert client.post("/v1/embeddings", json=BODY, headers={"api-key": key}).status_code == 200
        assert client.post("/v1/embeddings", json=BODY, headers={"api-key": "es_wrong"}).status_code == 403
        assert client.options("/v1/embeddings").status_code == 401


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/m", "/health/live", "/v2", "/info", "/api/tags", "/docs"])
def test_head_answers_as_get_does_without_a_body(client: httpx2.Client, path: str) -> None:
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(got.content))


def test_options_says_which_methods_a_path_takes(client: httpx2.Client) -> None:
    answer = client.options("/v1/embeddings")
    assert (answer.status_code, answer.headers["allow"]) == (204, "OPTIONS, POST")
    assert client.options("/v1/models").headers["allow"] == "GET, HEAD, OPTIONS"
    assert client.options("/v2/models/m/infer").headers["allow"] == "OPTIONS, POST"
    assert client.options("/nothing").status_code == 404


def test_no_page_may_call_unless_the_configuration_names_its_origin(client: httpx2.Client) -> None:
    for answer in (
        client.options("/v1/embeddings", headers=ASKS),
        client.post("/v1/embeddings", json=BODY, headers=ASKS),
    ):
        assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(("allowed", "origin"), [([PAGE], PAGE), (["*"], PAGE), ([PAGE], "https://evil.example")])
def test_pages_of_named_origins_may_call(tmp_path: Path, allowed: list[str], origin: str) -> None:
    welcome = "evil" not in origin
    with serving(application(tmp_path, cors_origins=allowed).app) as client:
        asked = client.options("/v1/embeddings", headers={**ASKS, "origin": origin})
        assert asked.headers.get("access-control-allow-origin") == (origin if welcome else None)
        if welcome:
            assert asked.status_code == 204
            assert asked.headers["access-control-allow-headers"] == "authorization"
        for body in (BODY, {**BODY, "input": ""}):  # a page must be able to read errors too
            answer = client.post("/v1/embeddings", json=body, headers={"origin": origin})
            assert answer.headers.get("access-control-allow-origin") == (origin if welcome else None)
            assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("wrong", ["shop.example", "https://shop.example/", "https://*.example", ""])
def test_what_is_no_origin_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        GatewayConfig.model_validate({"models": {}, "cors_origins": [wrong]})


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/m", "/v1/models/m@1", "/models"])
def test_what_did_not_change_need_not_be_read_again(client: httpx2.Client, path: str) -> None:
    first = client.get(path)
    tag = first.headers["etag"]
    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = client.get(path, headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get(path, headers={"if-none-match": '"other"'}).json() == first.json()


def test_models_lists_the_names_that_route_beside_the_pinned_versions(client: httpx2.Client) -> None:
    found = {entry["id"]: entry for entry in client.get("/v1/models").json()["data"]}
    names = ["m", "image-embedding", "text-embedding-3-small", "pinned", "m@1", "image-embedding@1"]
    assert list(found) == names
    assert found["text-embedding-3-small"]["routes_to"] == "m"
    assert [one["id"] for one in found["m"]["versions"]] == ["m@1"]
    assert found["pinned"]["routes_to"] == "m@1"
    for name in names:
        assert client.get(f"/v1/models/{name}").status_code == 200


def test_those_who_were_refused_come_again_at_different_times() -> None:
    drawn = [int(retry_headers(1)["retry-after-ms"]) for _ in range(1000)]
    assert min(drawn) >= 1000
    assert max(drawn) <= 3000
    assert len(set(drawn)) > 300
    assert all(
        1000 * int(one["retry-after"]) >= int(one["retry-after-ms"]) for one in (retry_headers(1) for _ in range(100))
    )


@pytest.mark.parametrize(("waits", "least", "most"), [(0, 1, 3), (0.2, 1, 3), (4, 4, 12), (30, 30, 60), (1000, 60, 60)])
def test_the_more_waits_the_later(waits: float, least: int, most: int) -> None:
    for _ in range(100):
        assert least <= int(retry_headers(waits)["retry-after"]) <= most

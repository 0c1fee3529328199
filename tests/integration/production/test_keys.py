"""The production profile with API keys: over HAProxy, over a replica's own port, and in the logs."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from openai import OpenAI, PermissionDeniedError
from ray.serve.generated import serve_pb2, serve_pb2_grpc

from deployments.auth.api_keys import ApiKey, new_key
from deployments.auth.key_file import FILE_VARIABLE, changing
from tests.integration.isolated import Isolated
from tests.integration.production.conftest import ADMIN, EMBED, LIMITED
from tests.integration.service import Service
from tests.integration.waiting import wait

MARK = "zanzibar-nutmeg-7731"  # in inputs, and nowhere else


def embed(client: httpx2.Client, text: str = "hello") -> httpx2.Response:
    return client.post("/v1/embeddings", json={"model": "text-embedding", "input": text})


def test_production_without_keys_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(FILE_VARIABLE, raising=False)
        refused = Service(tmp_path / "log", "--profile", "production")
    assert refused.process.wait(60) == 1
    assert "auth: none" in " ".join(refused.log.read_text().split())


def test_requests_without_a_key_are_401_and_with_a_wrong_one_403(running: Isolated) -> None:
    assert embed(running.client()).status_code == 401
    assert embed(running.client("es_wrong")).status_code == 403
    assert embed(running.client(ADMIN[0])).status_code == 403
    assert embed(running.client(EMBED[0])).status_code == 200


def test_the_openai_client_sends_its_key_as_it_is(running: Isolated) -> None:
    def ask(key: str) -> Any:
        client = OpenAI(base_url=f"{running.service.url}/v1", api_key=key, max_retries=0)
        return client.embeddings.create(model="text-embedding", input="hello")

    assert len(ask(EMBED[0]).data[0].embedding) == 384
    with pytest.raises(PermissionDeniedError):
        ask("es_wrong")


def test_metrics_need_the_admin_scope_and_health_needs_nothing(running: Isolated) -> None:
    assert running.client(EMBED[0]).get("/metrics").status_code == 403
    assert "ray_serve_" in running.client(ADMIN[0]).get("/metrics").text
    assert running.client().get("/health/ready").status_code == 200
    assert running.client().get("/v2/health/live").status_code == 200


def test_every_port_that_answers_embeddings_asks_for_a_key(running: Isolated) -> None:
    """The replica listens beside HAProxy on a port of its own; whoever finds it gets no further."""
    reached = 0
    for port in running.ports():
        with running.client(port=port) as client:
            client.timeout = httpx2.Timeout(2)
            try:
                if not client.get("/health/live").text.startswith('{"status":"live"'):
                    continue
                assert embed(client).status_code == 401, port
                assert client.get("/metrics").status_code == 401, port
            except httpx2.HTTPError:
                continue
            reached += 1
    assert reached >= 2, "HAProxy's port and the replica's"


class Bomb:
    """Unpickling it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_rays_own_ports_between_replicas_unpickle_nothing_without_rays_token(running: Isolated) -> None:
    mark = running.folder / "exploded"
    message = serve_pb2.ASGIRequest(pickled_request_metadata=pickle.dumps(Bomb(mark)))
    refused = 0
    for port in running.ports():
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = serve_pb2_grpc.ASGIServiceStub(channel).HandleRequest
            with pytest.raises(grpc.RpcError) as caught:
                call(message, timeout=5)
        refused += "authentication token" in (caught.value.details() or "")  # type: ignore[attr-defined]
        assert not mark.exists(), port
    assert refused >= 2, "gateway and encoder"


def test_a_key_over_its_rate_is_429_with_the_time_to_wait_and_others_are_not(running: Isolated) -> None:
    with running.client(LIMITED[0]) as client:
        assert [embed(client).status_code for _ in range(3)] == [200, 200, 429]
        answer = embed(client)
        assert 1 <= int(answer.headers["retry-after"]) <= 6  # five seconds, and by chance a fifth more
        assert answer.json()["error"]["code"] == "rate_limit_exceeded"
        assert "0.2 inputs per second" in answer.json()["error"]["message"]
    assert embed(running.client(EMBED[0])).status_code == 200


@pytest.mark.parametrize(("value", "status"), [("bulk", 200), ("interactive", 200), ("low", 400), ("", 400)])
def test_a_priority_is_interactive_or_bulk(running: Isolated, value: str, status: int) -> None:
    body = {"model": "text-embedding", "input": f"with priority {value}"}
    answer = running.client(EMBED[0]).post("/v1/embeddings", json=body, headers={"x-priority": value})
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"]["param"] == "x-priority"


def test_keys_rotate_while_it_serves(running: Isolated) -> None:
    key, entry = new_key("new-shop", ("embed",))
    change((running.folder / "api-keys"), add=entry)
    wait("the new key to open", lambda: embed(running.client(key)).status_code == 200)
    assert embed(running.client(EMBED[0])).status_code == 200
    change((running.folder / "api-keys"), remove="new-shop")
    wait("the old key to be refused", lambda: embed(running.client(key)).status_code == 403)
    assert embed(running.client(EMBED[0])).status_code == 200


def test_a_broken_key_file_keeps_the_old_keys(running: Isolated) -> None:
    whole = (running.folder / "api-keys").read_text()
    (running.folder / "api-keys").write_text(f"keys: [{EMBED[0]}")
    wait("the broken file to be noticed", lambda: "stay as they were" in running.logs())
    assert embed(running.client(EMBED[0])).status_code == 200
    assert embed(running.client()).status_code == 401
    (running.folder / "api-keys").write_text(whole)


def test_neither_keys_nor_inputs_are_in_any_log(running: Isolated) -> None:
    client = running.client(EMBED[0])
    assert embed(client, MARK).status_code == 200
    bad: list[dict[str, Any]] = [
        {"model": MARK, "input": "a"},
        {"model": "text-embedding", "input": [MARK, 5]},
        {"model": "text-embedding", "input": MARK, "dimensions": MARK},
        {"model": "text-embedding", "input": [MARK, ""]},
    ]
    for body in bad:
        assert 400 <= client.post("/v1/embeddings", json=body).status_code < 500
    assert client.post("/v1/embeddings", content=f'{{"{MARK}'.encode()).status_code == 400
    assert client.post("/v1/embeddings", json={**bad[0], "model": "text-embedding", "user": MARK}).status_code == 200
    slow = {"x-request-timeout-seconds": "0.001", "x-routing-key": MARK}
    answer = client.post(
        "/v1/embeddings", json={"model": "text-embedding", "input": [f"{MARK} {i}" for i in range(99)]}, headers=slow
    )
    assert answer.status_code == 504
    embed(running.client("es_wrong-key-in-a-header"), MARK)
    text = running.logs()
    assert "serving text-embedding@1.0.0" in text, "these are the right logs"
    for secret in (EMBED[0], ADMIN[0], EMBED[1].sha256, "es_wrong-key-in-a-header", MARK, "Bearer es_"):
        assert secret not in text


def change(path: Path, *, add: ApiKey | None = None, remove: str | None = None) -> None:
    with changing(path) as keys:
        keys[:] = [key for key in keys if key.name != remove] + ([add] if add else [])

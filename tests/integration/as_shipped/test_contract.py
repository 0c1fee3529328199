"""What answers say of themselves, and the routes beside embedding."""

from __future__ import annotations

import os
import re
import secrets
from importlib.metadata import version
from pathlib import Path

import httpx2
import pytest

from tests.integration.needs import needs
from tests.integration.service import Service, children
from tests.integration.waiting import wait

HEX = re.compile(r"^[0-9a-f]{64}$")


def embed(client: httpx2.Client, text: str, **headers: str) -> httpx2.Response:
    return client.post("/v1/embeddings", json={"model": "text-embedding", "input": text}, headers=headers)


def test_an_answer_names_the_artifact_that_computed_it(client: httpx2.Client) -> None:
    answer = embed(client, "which artifact am I from")
    assert answer.headers["x-model"] == answer.json()["model"] == "text-embedding@1.0.0"
    assert HEX.match(answer.headers["x-model-hash"])
    assert "x-model-weights" not in answer.headers
    described = client.get("/v1/models/text-embedding").json()
    assert described["hash"] == answer.headers["x-model-hash"]
    assert described["numerics"] == answer.headers["x-model-numerics"]
    provider, precision, _, runtime = described["numerics"].split("/")
    assert (provider, precision, runtime) == ("cpu", "fp32", f"onnxruntime-{version('onnxruntime')}")


def test_synthetic_weights_are_labelled_wherever_a_vector_shows(client: httpx2.Client, png: bytes) -> None:
    answer = client.post("/v1/embeddings/image", content=png, headers={"content-type": "image/png"})
    weights = client.get("/v1/models/image-embedding").json()["weights"]
    assert weights in ("synthetic", "pretrained")
    assert answer.headers.get("x-model-weights") == ("synthetic" if weights == "synthetic" else None)


@pytest.mark.parametrize("alias", ["text-embedding@1.0.0", "all-MiniLM-L6-v2", "text-embedding-3-small"])
def test_pins_and_aliases_resolve_to_the_same_version(client: httpx2.Client, alias: str) -> None:
    answer = client.post("/v1/embeddings", json={"model": alias, "input": "a"})
    assert answer.headers["x-model"] == "text-embedding@1.0.0"


def test_the_cache_says_hit_miss_and_partial(client: httpx2.Client) -> None:
    first = embed(client, "never seen before, one")
    second = embed(client, "never seen before, one")
    both = client.post(
        "/v1/embeddings",
        json={"model": "text-embedding", "input": ["never seen before, one", "never seen before, two"]},
    )
    assert [a.headers["x-cache"] for a in (first, second, both)] == ["miss", "hit", "partial"]
    assert first.json() == second.json()
    assert both.json()["data"][0]["embedding"] == first.json()["data"][0]["embedding"]


@pytest.mark.parametrize("given", ["order-4711", "a.b:c_d@e/f+g=h"])
def test_a_valid_request_id_comes_back(client: httpx2.Client, given: str) -> None:
    answer = embed(client, "a", **{"x-request-id": given})
    assert answer.headers.get_list("x-request-id") == [given]


@needs("http_hook", "Serve sends it back as it came")
@pytest.mark.parametrize(
    "given", ["", "two words", "x" * 200, "<script>"], ids=["none", "spaces", "too long", "markup"]
)
def test_an_invalid_request_id_is_replaced(client: httpx2.Client, given: str) -> None:
    answer = embed(client, "a", **{"x-request-id": given})
    ids = answer.headers.get_list("x-request-id")
    assert len(ids) == 1
    assert ids[0] != given
    assert len(ids[0]) == 36


def test_multipart_takes_any_number_of_pictures(client: httpx2.Client, png: bytes, jpeg: bytes) -> None:
    files = [("file", ("a.png", png, "image/png")), ("file", ("b.jpg", jpeg, "image/jpeg"))]
    answer = client.post("/v1/embeddings/image?encoding_format=float&dimensions=16", files=files)
    assert answer.status_code == 200, answer.text
    assert [len(row["embedding"]) for row in answer.json()["data"]] == [16, 16]


def test_unknown_fields_are_ignored_as_openai_does(client: httpx2.Client) -> None:
    body = {"model": "text-embedding", "input": "a", "extra": {"b": 1}, "encoding_format": None}
    assert client.post("/v1/embeddings", json=body).status_code == 200


def test_a_thousand_texts_come_back_in_order(client: httpx2.Client) -> None:
    texts = [f"text {i}" for i in range(1000)]
    answer = client.post("/v1/embeddings", json={"model": "text-embedding", "input": texts})
    assert [row["index"] for row in answer.json()["data"]] == list(range(1000))
    last = embed(client, "text 999").json()["data"][0]["embedding"]
    assert answer.json()["data"][999]["embedding"] == last


def test_models_tell_state_share_and_replicas(client: httpx2.Client) -> None:
    for entry in client.get("/v1/models").json()["data"]:
        assert entry["state"] == "ready"
        assert entry["share"] == 1
        name = entry["id"]
        wait("a look at the replicas", lambda name=name: client.get(f"/v1/models/{name}").json()["replicas"] == 1)  # type: ignore[misc]
        assert HEX.match(entry["hash"])


def test_health_is_live_and_ready(client: httpx2.Client) -> None:
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").json() == {"status": "ready", "reasons": []}


def test_every_described_path_exists_and_the_page_lists_it(client: httpx2.Client) -> None:
    document = client.get("/openapi.json").json()
    page = client.get("/docs").text
    for path, methods in document["paths"].items():
        assert path in page
        concrete = path.replace("{model}", "text-embedding").replace("{version}", "1.0.0").replace("{file}", "main.js")
        for method in methods:
            assert client.request(method.upper(), concrete).status_code not in (404, 405), path


def test_metrics_are_prometheus_text_of_serve(client: httpx2.Client) -> None:
    text = client.get("/metrics").text
    assert "# TYPE ray_serve_" in text


@needs("connections", "they come through handles")
def test_vectors_come_over_connections_beside_serves_handles(client: httpx2.Client) -> None:
    pattern = re.compile(r'^ray_embedserve_calls_total\{.*way="connection".*\} (\S+)$', re.MULTILINE)

    def counted() -> bool:
        embed(client, secrets.token_hex())
        return any(float(value) > 0 for value in pattern.findall(client.get("/metrics").text))

    wait("calls over connections in the metrics", counted)


def test_the_service_and_haproxys_own_ports_listen_on_loopback(service: Service) -> None:
    """HAProxy's frontend and the replicas follow http_options.host, and so do its metrics; its statistics always do."""
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    hosts = {int(row[1].split(":")[1], 16): row[1].split(":")[0] for row in listening if row[3] == "0A"}
    assert hosts[service.port] == "0100007F"


def test_replicas_give_way_to_other_work_no_more_than_the_command_itself(service: Service) -> None:
    """Ray starts its workers at niceness 15 unless told otherwise."""
    replicas = [pid for pid, title in children(service).items() if title.startswith("ray::ServeReplica")]
    assert len(replicas) >= 3
    own = os.getpriority(os.PRIO_PROCESS, service.process.pid)
    assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in replicas} == {own}

"""gRPC on a running service: through HAProxy and Serve, with keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.utils import InferenceServerException

from deployments.http.grpc.protocol import HEALTH, INFERENCE, message
from tests.integration.isolated import Isolated
from tests.integration.production.conftest import ADMIN, EMBED


@pytest.fixture(scope="module")
def address(running: Isolated) -> str:
    return f"127.0.0.1:{running.document['grpc_options']['port']}"


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Any]:
    with triton.InferenceServerClient(address) as found:
        yield found


def tensor(*texts: str) -> Any:
    given = triton.InferInput("text", [len(texts)], "BYTES")
    given.set_data_from_numpy(np.array([text.encode() for text in texts], dtype=object))
    return given


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_the_vectors_are_those_of_http(running: Isolated, client: Any) -> None:
    texts = ["hello over gRPC", "and another"]
    answer = client.infer("text-embedding", [tensor(*texts)], headers=bearer(EMBED[0]), request_id="7")
    with running.client(EMBED[0]) as http:
        rows = http.post("/v1/embeddings", json={"model": "text-embedding", "input": texts}).json()["data"]
    np.testing.assert_array_equal(
        answer.as_numpy("embedding"), np.array([row["embedding"] for row in rows], np.float32)
    )
    assert answer.get_response().id == "7"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, "UNAUTHENTICATED"), (bearer("es_wrong"), "PERMISSION_DENIED"), (bearer(ADMIN[0]), "PERMISSION_DENIED")],
    ids=["none", "an unknown one", "one that may not embed"],
)
def test_a_call_needs_a_key_that_embeds(client: Any, headers: dict[str, str], status: str) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.infer("text-embedding", [tensor("hello")], headers=headers)
    assert caught.value.status() == f"StatusCode.{status}"
    assert "key" in caught.value.message()


def test_every_port_that_answers_calls_asks_for_a_key(running: Isolated) -> None:
    """A gateway listens beside HAProxy, and Serve's fallback proxy hands calls to gateways; encoders know no such calls."""
    request = message("inference.ModelInferRequest")(model_name="text-embedding")
    request.inputs.add(name="text", datatype="BYTES", shape=[1])
    request.raw_input_contents.append(b"\x05\0\0\0hello")
    asked = set()
    for port in running.ports():
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary(f"/{INFERENCE}/ModelInfer")
            with pytest.raises(grpc.RpcError) as caught:
                call(request.SerializeToString(), timeout=5)
            if caught.value.code() is grpc.StatusCode.UNAUTHENTICATED:  # type: ignore[attr-defined]
                asked |= {port} if "API key" in caught.value.details() else set()  # type: ignore[attr-defined]
    assert len(asked) >= 2, "HAProxy's port and the gateway's"
    assert running.document["grpc_options"]["port"] in asked


def test_probes_need_none(client: Any, address: str) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    read = message("grpc.health.v1.HealthCheckResponse").FromString
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary(f"/{HEALTH}/Check", response_deserializer=read)
        assert check(b"").status == 1
        watch = channel.unary_stream(f"/{HEALTH}/Watch", response_deserializer=read)(b"", timeout=30)
        assert next(watch).status == 1
        watch.cancel()


def test_errors_are_in_our_words_and_refusals_name_what_is_refused(client: Any) -> None:
    headers = bearer(EMBED[0])
    with pytest.raises(InferenceServerException, match="there are: text-embedding"):
        client.infer("nothing", [tensor("hello")], headers=headers)
    with pytest.raises(InferenceServerException, match="system shared memory is not offered"):
        client.get_system_shared_memory_status(headers=headers)
    assert client.get_model_repository_index(headers=headers).models[0].state == "READY"


def test_reflection_describes_the_services(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert {INFERENCE, HEALTH} <= set(database.get_services())
        assert database.FindFileContainingSymbol(INFERENCE).service[0].name == "GRPCInferenceService"

"""Calls through HAProxy as Serve runs it, with the rules of ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import tritonclient.grpc as triton
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from deployments.http.grpc.protocol import HEALTH, INFERENCE
from deployments.serve_internals.haproxy_rules import Rules
from tests.deployments.http.grpc.server import listening
from tests.deployments.http.grpc.test_calls import RIGHT, infer, request_of, tensor
from tests.deployments.http.service import TEXT, application
from tests.integration.waiting import wait
from tests.slow_links.front import Front


@pytest.fixture(scope="module", params=[Rules(0.25), None], ids=["with our rules", "as Ray writes it"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("haproxy")
    with listening(application(folder)) as server:
        port = int(server.rpartition(":")[2])
        with Front(folder, [1], request.param, grpc=[port]).running() as front:
            found = f"127.0.0.1:{front.grpc_port}"
            wait("a gateway behind HAProxy", lambda: answered(found))
            yield found


def answered(address: str) -> bool:
    try:
        return bool(infer(address, request_of(TEXT)).raw_output_contents)
    except grpc.RpcError:
        return False


def test_tritons_client_gets_the_vectors(address: str) -> None:
    with triton.InferenceServerClient(address) as client:
        assert client.is_server_live()
        answer = client.infer("m", [tensor(*[TEXT] * 100)])
        assert answer.as_numpy("embedding").tolist() == [RIGHT] * 100


def test_a_message_of_megabytes_passes(address: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        infer(address, request_of("x" * 3_000_000))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
    assert "characters" in caught.value.details()  # type: ignore[attr-defined]


def test_tools_find_out_by_reflection_what_may_be_called(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert {INFERENCE, HEALTH} <= set(database.get_services())
        pool = descriptor_pool.DescriptorPool(database)
        infer_method = pool.FindServiceByName(INFERENCE).FindMethodByName("ModelInfer")
        assert infer_method.input_type.full_name == "inference.ModelInferRequest"


def test_a_stream_is_answered_while_its_caller_goes_on(address: str) -> None:
    """As tools that ask by reflection do: the stream stays open between two questions."""
    done = threading.Event()

    def questions() -> Iterator[Any]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        done.wait(60)

    with grpc.insecure_channel(address) as channel:
        stream = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(questions(), timeout=30)
        assert {INFERENCE, HEALTH} <= {one.name for one in next(stream).list_services_response.service}
        done.set()

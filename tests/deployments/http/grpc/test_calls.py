"""Calls over gRPC, by Triton's client as it is and by gRPC's own, against the gateway's whole application."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from deployments.auth.api_keys import new_key
from deployments.auth.authenticator import Authenticator
from deployments.auth.key_file import FILE_VARIABLE, changing
from deployments.config.limits import Limits
from deployments.http.grpc import arriving
from deployments.http.grpc.calls import WATCHERS, parsed
from deployments.http.grpc.protocol import HEALTH, INFERENCE, REFUSED, message
from models.errors import LimitError
from tests.deployments.http.grpc.server import listening
from tests.deployments.http.service import TEXT, Application, application

RIGHT = [1.0, 0.0, 0.0, 0.0]
Code = grpc.StatusCode


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Application:
    aliases = {"team/embed": "m", "pinned": "m@1"}
    return application(tmp_path_factory.mktemp("grpc"), aliases=aliases, limits={"body_s": 1, "bytes_in_flight": 2**26})


@pytest.fixture(scope="module")
def address(served: Application) -> Iterator[str]:
    with listening(served) as found:
        yield found


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Any]:
    with triton.InferenceServerClient(address) as found:
        yield found


def tensor(*values: bytes | str, name: str = "text") -> Any:
    given = triton.InferInput(name, [len(values)], "BYTES")
    items = [value.encode() if isinstance(value, str) else value for value in values]
    given.set_data_from_numpy(np.array(items, dtype=object))
    return given


def refused(error: pytest.ExceptionInfo[InferenceServerException]) -> tuple[str, str]:
    return str(error.value.status()), str(error.value.message())


@pytest.mark.parametrize("name", ["m", "team/embed", "pinned", "m@1"])
def test_texts_become_their_vectors_by_every_name_that_routes(client: Any, name: str) -> None:
    answer = client.infer(name, [tensor(TEXT, TEXT)], request_id="7")
    assert answer.as_numpy("embedding").tolist() == [RIGHT, RIGHT]
    response = answer.get_response()
    assert (response.id, response.model_name, response.model_version) == ("7", "m", "1")
    assert (response.outputs[0].datatype, list(response.outputs[0].shape)) == ("FP32", [2, 4])


def test_a_version_and_an_output_may_be_named(client: Any) -> None:
    wanted = [triton.InferRequestedOutput("embedding")]
    answer = client.infer("m", [tensor(TEXT)], model_version="1", outputs=wanted, parameters={"dimensions": 2})
    assert answer.as_numpy("embedding").tolist() == [[1.0, 0.0]]


def test_a_client_that_asks_for_an_answer_in_json_gets_the_one_that_there_is(address: str) -> None:
    request = request_of(TEXT)
    request.parameters["binary_data_output"].bool_param = False
    assert infer(address, request).raw_output_contents == [np.float32(RIGHT).tobytes()]


def test_texts_may_stand_in_the_contents_of_a_tensor(address: str) -> None:
    request = message("inference.ModelInferRequest")(model_name="m")
    given = request.inputs.add(name="text", datatype="BYTES", shape=[1])
    given.contents.bytes_contents.append(TEXT.encode())
    response = infer(address, request)
    assert np.frombuffer(response.raw_output_contents[0], "<f4").tolist() == RIGHT


@pytest.mark.parametrize(
    ("code", "words", "asked"),
    [
        ("NOT_FOUND", "there are: m", lambda client: client.infer("nothing", [tensor(TEXT)])),
        ("NOT_FOUND", "there are", lambda client: client.infer("m", [tensor(TEXT)], model_version="2")),
        ("INVALID_ARGUMENT", "named 'text'", lambda client: client.infer("m", [tensor(TEXT, name="image")])),
        ("INVALID_ARGUMENT", "text[1]", lambda client: client.infer("m", [tensor(TEXT, "")])),
        ("INVALID_ARGUMENT", "one tensor", lambda client: client.infer("m", [tensor(TEXT), tensor(TEXT)])),
        (
            "INVALID_ARGUMENT",
            "normalize",
            lambda client: client.infer("m", [tensor(TEXT)], parameters={"normalize": False}),
        ),
        ("NOT_FOUND", "there are", lambda client: client.get_model_metadata("nothing")),
        ("NOT_FOUND", "there are", lambda client: client.get_model_config("nothing")),
        ("NOT_FOUND", "a/b/c", lambda client: client.get_model_metadata("a/b/c")),
    ],
)
def test_what_is_wrong_is_said_as_over_http(client: Any, code: str, words: str, asked: Any) -> None:
    with pytest.raises(InferenceServerException) as caught:
        asked(client)
    status, said = refused(caught)
    assert status == f"StatusCode.{code}"
    assert words in said


def test_a_client_finds_out_what_there_is(client: Any) -> None:
    assert client.is_server_live()
    assert client.get_server_metadata().name == "embedserve"
    metadata = client.get_model_metadata("m")
    assert (metadata.inputs[0].name, metadata.inputs[0].datatype) == ("text", "BYTES")
    assert list(metadata.outputs[0].shape) == [-1, 4]
    config = client.get_model_config("m").config
    assert (config.name, list(config.output[0].dims)) == ("m", [-1, 4])
    index = client.get_model_repository_index().models
    assert [(one.name, one.version) for one in index] == [("m", "1"), ("image-embedding", "1")]


@pytest.mark.parametrize("method", sorted(REFUSED))
def test_what_is_not_offered_is_refused_by_name(address: str, method: str) -> None:
    with grpc.insecure_channel(address) as channel:
        make = channel.stream_stream if method == "ModelStreamInfer" else channel.unary_unary
        call = make(f"/{INFERENCE}/{method}")
        with pytest.raises(grpc.RpcError) as caught:
            list(call(iter([b""]))) if method == "ModelStreamInfer" else call(b"")
    assert caught.value.code() is Code.UNIMPLEMENTED  # type: ignore[attr-defined]
    assert "not offered" in caught.value.details()  # type: ignore[attr-defined]


def test_a_call_has_its_line_and_its_count_and_tells_where_vectors_are_from(served: Application, address: str) -> None:
    before = served.requests()
    request = request_of(TEXT)
    with grpc.insecure_channel(address) as channel:
        call = stub(channel)
        response, done = call.with_call(request.SerializeToString(), metadata=[("x-request-id", "by-grpc")])
    told = dict(done.trailing_metadata())
    assert (told["x-request-id"], told["x-model"], told["x-cache"]) == ("by-grpc", "m@1", "hit")
    line = served.line("by-grpc")
    assert (line["status"], line["path"], line["model"]) == (200, "/v2/models/m/infer", "m")
    assert (served.requests() - before)["m", "1", "200"] == 1
    assert response


def test_a_deadline_in_the_metadata_ends_a_call_in_our_words(served: Application, address: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        infer(address, request_of("not cached"), [("x-request-timeout-seconds", "0.05"), ("x-request-id", "late")])
    assert caught.value.code() is Code.DEADLINE_EXCEEDED  # type: ignore[attr-defined]
    assert "0.05 s" in caught.value.details()  # type: ignore[attr-defined]
    assert served.line("late")["status"] == 504


def test_a_call_whose_caller_left_is_worked_on_no_longer(tmp_path: Path) -> None:
    app = application(tmp_path)
    with listening(app) as address, grpc.insecure_channel(address) as channel:
        future = stub(channel).future(
            request_of("nobody waits for this").SerializeToString(), metadata=[("x-request-id", "left")]
        )
        queue = app.embeddings.registry.versions["m@1"].queue
        until(lambda: queue._under_way)
        future.cancel()
        assert app.line("left")["status"] == 499


def test_too_many_calls_are_refused_with_the_time_to_come_again(tmp_path: Path) -> None:
    app = application(tmp_path, queue={"open_requests": 1})
    with listening(app) as address, grpc.insecure_channel(address) as channel:
        future = stub(channel).future(request_of("waits").SerializeToString())
        queue = app.embeddings.registry.versions["m@1"].queue
        until(lambda: queue._under_way)
        with pytest.raises(grpc.RpcError) as caught:
            infer(address, request_of(TEXT))
        assert caught.value.code() is Code.UNAVAILABLE  # type: ignore[attr-defined]
        told = dict(caught.value.trailing_metadata())  # type: ignore[attr-defined]
        assert 1000 <= int(told["grpc-retry-pushback-ms"]) <= 3000
        assert int(told["retry-after"]) >= 1
        future.cancel()


def test_keys_are_asked_for_before_a_message_is_read(tmp_path: Path) -> None:
    key, entry = new_key("shop", ("embed",))
    with changing(tmp_path / "keys") as keys:
        keys.append(entry)
    auth = Authenticator("production", {FILE_VARIABLE: str(tmp_path / "keys")})
    app = application(tmp_path, auth)
    never = threading.Event()

    def nothing() -> Iterator[bytes]:
        never.wait(60)
        yield b""

    with listening(app, auth) as address, grpc.insecure_channel(address) as channel:
        slow = channel.stream_unary(f"/{INFERENCE}/ModelInfer")
        wrong = (("authorization", "Bearer es_wrong"),)
        for metadata, code in (((), Code.UNAUTHENTICATED), (wrong, Code.PERMISSION_DENIED)):
            with pytest.raises(grpc.RpcError) as caught:
                slow(nothing(), timeout=30, metadata=(*metadata, ("x-request-id", code.name)))
            assert caught.value.code() is code  # type: ignore[attr-defined]
            assert app.line(code.name)["status"] in (401, 403)
        never.set()
        assert infer(address, request_of(TEXT), [("authorization", f"Bearer {key}")]).raw_output_contents
        assert infer(address, request_of(TEXT), [("api-key", key)]).raw_output_contents
        assert channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"")  # a probe has no key
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/inference.GRPCInferenceService/ServerMetadata")(b"")
        assert caught.value.code() is Code.UNAUTHENTICATED  # type: ignore[attr-defined]


def test_messages_on_their_way_are_bounded_in_number_and_time(address: str) -> None:
    """Two of the largest find room (64 MiB); twenty callers begin and send nothing, and a good one is served beside them."""
    callers = 20
    never = threading.Event()

    def nothing() -> Iterator[bytes]:
        never.wait(60)
        yield b""

    def begin(_: int) -> tuple[Code, str]:
        with grpc.insecure_channel(address) as channel:
            try:
                channel.stream_unary(f"/{INFERENCE}/ModelInfer")(nothing(), timeout=30)
            except grpc.RpcError as error:
                return error.code(), error.details()  # type: ignore[attr-defined]
        raise AssertionError

    with ThreadPoolExecutor(callers) as pool:
        outcomes = [pool.submit(begin, number) for number in range(callers)]
        assert infer(address, request_of(TEXT)).raw_output_contents
        found = [outcome.result() for outcome in outcomes]
        never.set()
    codes = [code for code, _ in found]
    assert codes.count(Code.UNAVAILABLE) >= callers - 2
    assert codes.count(Code.UNAVAILABLE) + codes.count(Code.DEADLINE_EXCEEDED) == callers
    assert all("on their way" in said or "had not arrived after 1 s" in said for _, said in found)


@pytest.mark.parametrize(
    "method", [f"{INFERENCE}/ModelInfer", f"{INFERENCE}/ModelMetadata", f"{HEALTH}/Check"], ids=lambda one: one[-13:]
)
def test_bytes_that_are_no_message_are_refused_in_our_words(address: str, method: str) -> None:
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/{method}")(b"\x0a\xff\xff")
    assert caught.value.code() is Code.INVALID_ARGUMENT  # type: ignore[attr-defined]
    assert "is no " in caught.value.details()  # type: ignore[attr-defined]


def test_the_health_service_knows_its_services(address: str) -> None:
    read = message("grpc.health.v1.HealthCheckResponse").FromString
    ask = message("grpc.health.v1.HealthCheckRequest")
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", response_deserializer=read)
        with pytest.raises(grpc.RpcError) as caught:
            check(ask(service="other").SerializeToString())
        assert caught.value.code() is Code.NOT_FOUND  # type: ignore[attr-defined]
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch", response_deserializer=read)
        states = watch(ask(service="other").SerializeToString(), timeout=30)
        assert next(states).status == 3  # which it is told, and the stream stays open
        states.cancel()


def test_no_more_watch_the_health_of_a_service_than_it_can_look_after(address: str) -> None:
    ask = message("grpc.health.v1.HealthCheckRequest")(service="other").SerializeToString()
    with grpc.insecure_channel(address) as channel:
        watch = channel.unary_stream(f"/{HEALTH}/Watch")
        streams = [watch(ask, timeout=60) for _ in range(WATCHERS)]
        assert all(next(stream) for stream in streams)
        with pytest.raises(grpc.RpcError) as caught:
            next(watch(ask, timeout=60))
        assert caught.value.code() is Code.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]
        for stream in streams:
            stream.cancel()


def request_of(text: str) -> Any:
    request = message("inference.ModelInferRequest")(model_name="m")
    request.inputs.add(name="text", datatype="BYTES", shape=[1])
    request.raw_input_contents.append(len(text).to_bytes(4, "little") + text.encode())
    return request


def stub(channel: grpc.Channel) -> Any:
    return channel.unary_unary(f"/{INFERENCE}/ModelInfer")


def infer(address: str, request: Any, metadata: Any = ()) -> Any:
    with grpc.insecure_channel(address) as channel:
        content = stub(channel)(request.SerializeToString(), metadata=metadata, timeout=60)
    return message("inference.ModelInferResponse").FromString(content)


def until(met: Any) -> None:
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def field(number: int, content: bytes) -> bytes:
    """A field of bytes, as it is on the wire."""
    size, length = len(content), b""
    while size > 127:
        size, length = size >> 7, length + bytes([size & 127 | 128])
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


MANY = 1_000_000  # some hundred times the values that a request may have; a message may hold 16 times as many
DEAR = {
    "empty tensors": field(5, b"") * MANY,
    "empty outputs": field(6, b"") * MANY,
    "empty raw contents": field(7, b"") * MANY,
    "empty texts in a tensor": field(5, field(5, field(8, b"") * MANY)),
    "a shape": field(5, field(3, b"\1" * MANY)),
    "numbers in a tensor": field(5, field(5, field(2, b"\1" * MANY))),
    "parameters": field(4, field(1, b"x")) * MANY,
    "unknown fields": b"\xf8\x3f\0" * MANY,
}


@pytest.mark.parametrize("dear", DEAR)
def test_a_message_of_more_values_than_a_request_may_have_is_refused_before_it_is_parsed(dear: str) -> None:
    began = time.process_time()
    with pytest.raises(LimitError, match="more than 3072 values"):
        parsed(message("inference.ModelInferRequest"), DEAR[dear], Limits())
    assert time.process_time() - began < 1  # parsed, one of them took 0.5 s and 90 MB, and what followed took 2 s


def test_a_message_of_as_many_texts_as_allowed_is_read_and_one_of_the_largest_bodies_too() -> None:
    kind = message("inference.ModelInferRequest")
    for texts in ([b"x" * 200] * 2048, [b"x" * (20 << 20)]):
        request = kind(model_name="m")
        request.inputs.add(name="text", datatype="BYTES", shape=[len(texts)]).contents.bytes_contents.extend(texts)
        assert parsed(kind, request.SerializeToString(), Limits()) == request
    with pytest.raises(LimitError, match="the limit is 33554432"):
        parsed(kind, field(1, b"x" * (32 << 20)), Limits())


@pytest.mark.parametrize("method", [f"{INFERENCE}/ModelMetadata", f"{HEALTH}/Check", f"{HEALTH}/Watch"])
def test_calls_that_need_no_message_of_length_neither_wait_for_one_nor_read_one(
    address: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arriving, "SHORT_S", 0.3)
    never = threading.Event()

    def nothing() -> Iterator[bytes]:
        never.wait(60)
        yield b""

    with grpc.insecure_channel(address) as channel:
        for sent, code, words in (
            (nothing(), Code.DEADLINE_EXCEEDED, "had not arrived after 0.3 s"),
            (iter([field(1, b"x" * 100_000)]), Code.INVALID_ARGUMENT, "the limit is 16384"),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                list(channel.stream_stream(f"/{method}")(sent, timeout=30))
            assert caught.value.code() is code  # type: ignore[attr-defined]
            assert words in caught.value.details()  # type: ignore[attr-defined]
    never.set()

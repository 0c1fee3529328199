"""Whatever reads a stranger's bytes, as it is called in the service, and what a call may cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from starlette.requests import Request

from deployments.config.limits import Limits
from deployments.contract.header_number import decimal_number, whole_number
from deployments.http import inflate
from deployments.http import request as headers
from deployments.http.grpc.calls import parsed
from deployments.http.grpc.infer import infer_body
from deployments.http.grpc.protocol import message
from deployments.http.kserve_v2.tensors import items_of, split
from deployments.http.multipart import boundary_of, parts_of
from deployments.http.openai.input import parse_input
from models.inputs.image import decode
from models.inputs.image_header import ImageLimits, check_header
from models.inputs.text import TextTokenizer
from models.modalities.image_text import image_bytes
from tests.costs.budget import DOCUMENT, EVENT_LOOP, INFLATED, LARGE_DOCUMENT, PICTURE, TOKENS, Budget
from tests.models.loading import artifact_of

LIMITS = ImageLimits(pixels=1_000_000, side=2000, memory=64 << 20, seconds=2)


@dataclass(frozen=True)
class Parser:
    """One reader."""

    read: Callable[[bytes], object]
    budget: Budget


def request(name: str, value: bytes) -> Request:
    """A request with one header."""
    return Request({"type": "http", "headers": [(name.encode(), value)]})


@cache
def tokenizer() -> TextTokenizer:
    """The catalogue's, without its model."""
    artifact = artifact_of("text-embedding@1.1.0")
    assert artifact.tokenizer is not None
    return TextTokenizer(artifact.tokenizer, 256)


def read_text(data: bytes) -> object:
    return tokenizer().encode([data.decode("utf-8", "ignore")])


def read_openai(data: bytes) -> object:
    return parse_input(headers.parse_json(data, Limits()).get("input"), 2048)


def read_infer(data: bytes) -> object:
    """A JSON head, and binary tensors where a line feed ends it."""
    length = data.find(b"\n") if b"\n" in data else len(data)
    document, binary = split(request("inference-header-content-length", str(length).encode()), data, Limits())
    return items_of(document, binary, "text")


def read_call(data: bytes) -> object:
    """A call over gRPC."""
    kind = message("inference.ModelInferRequest")
    return infer_body(parsed(kind, data, Limits()))


def read_inflated(data: bytes) -> object:
    """A coding, and the body behind its line."""
    coding, _, body = data.partition(b"\n")
    return inflate._whole(body, coding.decode(), 4 << 20)


def read_form(data: bytes) -> object:
    """A content type, and the body behind its line."""
    kind, _, body = data.partition(b"\n")
    return parts_of(body, boundary_of(kind.decode("latin-1")))


def read_headers(data: bytes) -> object:
    text = data.decode("latin-1")
    whole_number(text), decimal_number(text)
    headers.media_type(request("content-type", data))
    headers.bulk_of(request("x-priority", data))
    return headers.timeout_of(request("x-request-timeout-seconds", data))


PARSERS = {
    "picture": Parser(lambda data: decode(data, 64, LIMITS), PICTURE),
    "shrunk picture": Parser(lambda data: decode(data, 64, LIMITS, 3), PICTURE),
    "picture's header": Parser(lambda data: check_header(data, LIMITS), EVENT_LOOP),
    "text": Parser(read_text, TOKENS),
    "OpenAI's JSON": Parser(read_openai, DOCUMENT),
    "v2's JSON and tensors": Parser(read_infer, DOCUMENT),
    "large JSON": Parser(read_openai, LARGE_DOCUMENT),
    "gRPC": Parser(read_call, DOCUMENT),
    "compressed body": Parser(read_inflated, INFLATED),
    "form": Parser(read_form, EVENT_LOOP),
    "headers": Parser(read_headers, EVENT_LOOP),
    "base64": Parser(lambda data: image_bytes(data.decode("latin-1"), "input", Limits()), EVENT_LOOP),
}

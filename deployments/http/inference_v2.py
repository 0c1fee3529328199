"""KServe Open Inference Protocol v2 over REST, with the binary tensor extension that Triton's client uses by default.

Specification: kserve.github.io, "Open Inference Protocol"; binary data: Triton's "binary tensor data extension".
"""

from __future__ import annotations

import math
import struct
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.contract.items import Item
from deployments.contract.short_repr import short_repr
from deployments.gateway.embedding_service import EmbeddingService, EmbedRequest, EmbedResult
from deployments.gateway.model_version import ModelVersion
from deployments.http.middleware.auth import CLIENT
from deployments.http.openai import ROUTING_HEADER
from deployments.http.request import bulk_of, parse_json, read_body, timeout_of
from deployments.http.response import headers_of
from models.errors import InputError

HEADER_LENGTH = "inference-header-content-length"
OUTPUT = "embedding"


def routes(embeddings: EmbeddingService) -> list[Route]:
    """The routes of this adapter."""
    registry = embeddings.registry

    def version_of(request: Request) -> ModelVersion:
        return registry.resolve(_reference(request))

    async def server(_: Request) -> Response:
        return _json({"name": "embedserve", "version": "2", "extensions": ["binary_tensor_data"]})

    async def metadata(request: Request) -> Response:
        version = version_of(request)
        info, name = version.info, version.modality
        document = {
            "name": version.model,
            "versions": [v.version for v in registry.of_model(version.model)],
            "platform": "onnxruntime",
            "inputs": [{"name": name, "datatype": "BYTES", "shape": [-1]}],
            "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, info.dimensions if info else -1]}],
        }
        return _json(document)

    async def ready(request: Request) -> Response:
        version = version_of(request)
        await version.refresh(5.0)
        return _json({"name": version.reference, "ready": version.error is None}, 503 if version.error else 200)

    async def infer(request: Request) -> Response:
        body = await read_body(request, registry.config.limits)
        document, binary = _split(request, body)
        modality = registry.resolve(_reference(request)).modality
        items = _items(document, binary, modality)
        result = await embeddings.embed(
            EmbedRequest(
                model=_reference(request),
                items=items,
                key=request.headers.get(ROUTING_HEADER),
                headers=request.headers,
                timeout_s=timeout_of(request),
                client=request.scope.get(CLIENT),
                bulk=bulk_of(request),
                param=modality,
            )
        )
        return _answer(document, result)

    paths = ["/v2/models/{model}", "/v2/models/{model}/versions/{version}"]
    return [
        Route("/v2", server),
        *(Route(path, metadata) for path in paths),
        *(Route(f"{path}/ready", ready) for path in paths),
        *(Route(f"{path}/infer", infer, methods=["POST"]) for path in paths),
    ]


def _reference(request: Request) -> str:
    model, version = request.path_params["model"], request.path_params.get("version")
    return f"{model}@{version}" if version else model


def _split(request: Request, body: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON head of a request and the binary tensors behind it."""
    length = request.headers.get(HEADER_LENGTH)
    if length is None:
        return parse_json(body), b""
    if not length.isdigit() or int(length) > len(body):
        raise InputError(f"{HEADER_LENGTH} must be a number of bytes within the body", param=HEADER_LENGTH)
    return parse_json(body[: int(length)]), body[int(length) :]


def _items(document: dict[str, Any], binary: bytes, name: str) -> list[Item]:
    tensors = document.get("inputs")
    if not isinstance(tensors, list) or len(tensors) != 1 or not isinstance(tensors[0], dict):
        raise InputError(
            f"inputs must hold one tensor, named {name!r}, of datatype BYTES and shape [n]", param="inputs"
        )
    tensor = tensors[0]
    if tensor.get("name") != name or tensor.get("datatype") != "BYTES":
        raise InputError(f"this model takes one BYTES tensor named {name!r}", param="inputs[0]")
    parameters = tensor.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    values = _binary_items(binary, size, name) if size is not None else _json_items(tensor.get("data"), name)
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape) or len(shape) not in (1, 2):
        raise InputError("shape must be [n] or [n, 1]", param="inputs[0].shape")
    if math.prod(shape) != len(values):
        raise InputError(f"shape {shape} does not hold {len(values)} items", param="inputs[0].shape")
    return values


def _json_items(data: Any, name: str) -> list[Item]:
    if isinstance(data, list) and data and all(isinstance(row, list) and len(row) == 1 for row in data):
        data = [row[0] for row in data]  # shape [n, 1], nested
    if not isinstance(data, list) or not all(isinstance(value, str) for value in data):
        what = "base64 of images" if name == "image" else "texts"
        raise InputError(f"data must be a list of strings: {what}", param="inputs[0].data")
    return data


def _binary_items(binary: bytes, size: Any, name: str) -> list[Item]:
    """BYTES elements: each four bytes of length, little-endian, then the bytes."""
    if type(size) is not int or size != len(binary):
        raise InputError(f"binary_data_size is {short_repr(size)}, {len(binary)} bytes follow", param="inputs[0]")
    items: list[Item] = []
    offset = 0
    while offset < len(binary):
        if offset + 4 > len(binary):
            raise InputError("a BYTES element is cut off", param="inputs[0]")
        (length,) = struct.unpack_from("<I", binary, offset)
        element = binary[offset + 4 : offset + 4 + length]
        if len(element) != length:
            raise InputError("a BYTES element is cut off", param="inputs[0]")
        items.append(element if name == "image" else _utf8(element, len(items)))
        offset += 4 + length
    return items


def _utf8(element: bytes, index: int) -> str:
    try:
        return element.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"text[{index}] is no valid UTF-8", param=f"text[{index}]") from error


def _answer(document: dict[str, Any], result: EmbedResult) -> Response:
    model, _, version = result.label.model.partition("@")
    output: dict[str, Any] = {"name": OUTPUT, "datatype": "FP32", "shape": list(result.vectors.shape)}
    body: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": [output]}
    if isinstance(document.get("id"), str):
        body["id"] = document["id"]
    headers = headers_of(result)
    if not _wants_binary(document):
        output["data"] = result.vectors.reshape(-1)
        return Response(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), 200, headers, "application/json")
    data = result.vectors.astype("<f4", copy=False).tobytes()
    output["parameters"] = {"binary_data_size": len(data)}
    head = orjson.dumps(body)
    headers[HEADER_LENGTH] = str(len(head))
    return Response(head + data, 200, headers, "application/octet-stream")


def _wants_binary(document: dict[str, Any]) -> bool:
    outputs = document.get("outputs")
    if isinstance(outputs, list) and outputs and isinstance(outputs[0], dict):
        if outputs[0].get("name") != OUTPUT:
            raise InputError(f"the only output is {OUTPUT!r}", param="outputs[0].name")
        parameters = outputs[0].get("parameters")
        if isinstance(parameters, dict) and "binary_data" in parameters:
            return bool(parameters["binary_data"])
    parameters = document.get("parameters")
    return bool(parameters.get("binary_data_output")) if isinstance(parameters, dict) else False


def _json(document: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, None, "application/json")

"""``ModelInfer`` as the request with binary tensors that means the same, and its answer back."""

from __future__ import annotations

import struct
from typing import Any

import orjson

from deployments.http.grpc.exchange import Reply
from deployments.http.grpc.protocol import message
from deployments.http.kserve_v2.tensors import HEADER_LENGTH

RESPONSE = message("inference.ModelInferResponse")


def infer_path(request: Any) -> str:
    """Where a request goes."""
    version = f"/versions/{request.model_version}" if request.model_version else ""
    return f"/v2/models/{request.model_name}{version}/infer"


def infer_body(request: Any) -> tuple[bytes, int]:
    """The body of a request, and how many bytes of it are its JSON."""
    raw: list[bytes] = list(request.raw_input_contents)
    inputs = []
    for tensor in request.inputs:
        document = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        parameters = parameters_of(tensor.parameters) if tensor.parameters else {}
        if tensor.HasField("contents"):
            raw.append(b"".join(part for one in tensor.contents.bytes_contents for part in _element(one)))
        inputs.append(document | {"parameters": parameters})
    if len(raw) == len(inputs):
        for document, content in zip(inputs, raw, strict=True):
            document["parameters"]["binary_data_size"] = len(content)
    said = parameters_of(request.parameters) if request.parameters else {}
    # Last, whatever a client says of HTTP's ways to answer.
    body: dict[str, Any] = {"inputs": inputs, "parameters": said | {"binary_data_output": True}}
    if request.id:
        body["id"] = request.id
    if request.outputs:
        outputs = [{"name": one.name, "parameters": parameters_of(one.parameters)} for one in request.outputs]
        outputs[0]["parameters"] |= {"binary_data": True}
        body["outputs"] = outputs
    head = orjson.dumps(body)
    return b"".join((head, *raw)), len(head)


def infer_answer(reply: Reply) -> Any:
    """The message of an answer."""
    length = int(reply.headers[HEADER_LENGTH])
    document = orjson.loads(reply.body[:length])
    response = RESPONSE(
        model_name=document["model_name"], model_version=document["model_version"], id=document.get("id", "")
    )
    (output,) = document["outputs"]
    response.outputs.add(name=output["name"], datatype=output["datatype"], shape=output["shape"])
    response.raw_output_contents.append(reply.body[length:])
    return response


def parameters_of(given: Any) -> dict[str, Any]:
    """Parameters as JSON has them."""
    return {
        name: getattr(value, value.WhichOneof("parameter_choice") or "string_param") for name, value in given.items()
    }


def _element(value: bytes) -> tuple[bytes, bytes]:
    return struct.pack("<I", len(value)), value

"""Vectors as a tensor, in JSON or in binary."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from deployments.gateway.embedding_service import EmbedResult
from deployments.gateway.turns import Turns
from deployments.http.kserve_v2.tensors import HEADER_LENGTH
from deployments.http.response import list_response, origin_headers
from models.errors import InputError

OUTPUT = "embedding"


async def infer_response(document: dict[str, Any], result: EmbedResult, turns: Turns) -> Response:
    """The answer to the request ``document``, in the form that it asks for.

    Raises:
        InputError: it asks for an output that does not exist.
    """
    model, _, version = result.label.model.partition("@")
    output: dict[str, Any] = {"name": OUTPUT, "datatype": "FP32", "shape": list(result.vectors.shape)}
    body: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": [output]}
    if isinstance(document.get("id"), str):
        body["id"] = document["id"]
    if not _wants_binary(document):
        return await list_response(body, output, lambda vectors, _: vectors.reshape(-1), result, turns)
    data = result.vectors.astype("<f4", copy=False).tobytes()
    output["parameters"] = {"binary_data_size": len(data)}
    head = orjson.dumps(body)
    headers = {**origin_headers(result), HEADER_LENGTH: str(len(head))}
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

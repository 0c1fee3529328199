"""The tensors of a request, in its JSON or in binary behind it."""

from __future__ import annotations

import math
import struct
from collections.abc import Collection
from typing import Any

from starlette.requests import Request

from deployments.config.limits import Limits
from deployments.contract.header_number import whole_number
from deployments.contract.items import Item
from deployments.contract.short_repr import short_repr
from deployments.http.headers import header_of
from deployments.http.request import parse_json
from models.errors import InputError
from models.modalities import MODALITIES

HEADER_LENGTH = "inference-header-content-length"
OTHER_NAMES = {"text": "input_text"}  # by modality: LiteLLM calls the tensor so, whatever the model's metadata say


def split(request: Request, body: bytes, limits: Limits) -> tuple[dict[str, Any], memoryview]:
    """The JSON head of a request and the binary tensors behind it.

    Raises:
        InputError: the JSON is malformed, or the header that says where it ends.
        LimitError: the JSON holds too many values.
    """
    declared = header_of(request, HEADER_LENGTH.encode())
    if declared is None:
        return parse_json(body, limits), memoryview(b"")
    length = whole_number(declared)
    if length is None or length > len(body):
        raise InputError(
            f"{HEADER_LENGTH} is {short_repr(declared)}; it must be a number of bytes within the body, "
            f"0 to {len(body)}",
            param=HEADER_LENGTH,
        )
    return parse_json(body[:length], limits), memoryview(body)[length:]


def parameters_of(document: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a request, among which may be fields that change the vectors.

    Raises:
        InputError: data lie in shared memory, or an output is to be classified.
    """
    tensors = [document.get("inputs"), document.get("outputs")]
    for tensor in (one for part in tensors if isinstance(part, list) for one in part if isinstance(one, dict)):
        given = tensor.get("parameters")
        for name in given if isinstance(given, dict) else ():
            if name.startswith("shared_memory") or name == "classification":
                raise InputError(
                    f"{name} is not offered; send tensors in the request, and read them in the answer", param=name
                )
    given = document.get("parameters")
    return given if isinstance(given, dict) else {}


def tower_of(document: dict[str, Any], towers: Collection[str]) -> str:
    """Of the modalities that a name takes, the one that a request's tensor is named after; the first where it is none."""
    tensors = document.get("inputs")
    first = tensors[0] if isinstance(tensors, list) and tensors else None
    name = first.get("name") if isinstance(first, dict) else None
    return next((modality for modality in towers if name in (modality, OTHER_NAMES.get(modality))), next(iter(towers)))


def items_of(document: dict[str, Any], binary: memoryview, name: str) -> list[Item]:
    """The items of a request's one tensor.

    Args:
        document: the JSON of the request.
        binary: what followed it.
        name: of the tensor: the model's modality.

    Raises:
        InputError: it is another tensor, or its data do not fit its shape.
    """
    tensors = document.get("inputs")
    if not isinstance(tensors, list) or len(tensors) != 1 or not isinstance(tensors[0], dict):
        raise InputError(
            f"inputs must hold one tensor, named {name!r}, of datatype BYTES and shape [n]", param="inputs"
        )
    tensor = tensors[0]
    if tensor.get("name") not in (name, OTHER_NAMES.get(name)) or tensor.get("datatype") != "BYTES":
        raise InputError(f"this model takes one BYTES tensor named {name!r}", param="inputs[0]")
    parameters = tensor.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None and "data" in tensor:
        raise InputError("data and binary_data_size contradict each other; send one of them", param="inputs[0]")
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
        what = MODALITIES[name].json_items
        raise InputError(f"data must be a list of strings: {what}", param="inputs[0].data")
    return data


def _binary_items(binary: memoryview, size: Any, name: str) -> list[Item]:
    """BYTES elements: each four bytes of length, little-endian, then the bytes."""
    if type(size) is not int:
        raise InputError(f"binary_data_size must be a whole number, not {short_repr(size)}", param="inputs[0]")
    if size != len(binary):
        raise InputError(f"binary_data_size is {size}, {len(binary)} bytes follow", param="inputs[0]")
    items: list[Item] = []
    offset = 0
    while offset < len(binary):
        if offset + 4 > len(binary):
            raise InputError("a BYTES element is cut off", param="inputs[0]")
        (length,) = struct.unpack_from("<I", binary, offset)
        element = binary[offset + 4 : offset + 4 + length]
        if len(element) != length:
            raise InputError("a BYTES element is cut off", param="inputs[0]")
        items.append(MODALITIES[name].from_bytes(element, f"{name}[{len(items)}]"))
        offset += 4 + length
    return items

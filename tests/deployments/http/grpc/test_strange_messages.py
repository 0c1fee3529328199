"""Whatever stands in a field of a message over gRPC is answered with a status that says whose fault it is, and never ours."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]

from deployments.auth.authenticator import Authenticator
from deployments.http.fields import MEANT, PLAIN
from deployments.http.grpc.calls import Calls
from deployments.http.grpc.exchange import Caller
from deployments.http.grpc.methods import CODES, Answer, Code
from deployments.http.grpc.protocol import REFUSED, message
from tests.deployments.http.service import TEXT, Application, all_ready, application
from tests.faults.hostile.json_bodies import TEXTS

FINE = {Code.OK, *CODES.values()}
BINARY = ("binary_data", "binary_data_output", "binary_data_size", "shared_memory_region", "classification")
STRINGS = (
    "",
    "m",
    "1",
    "m@1",
    "both",
    "text",
    "image",
    "BYTES",
    "FP32",
    "embedding",
    TEXT,
    "..",
    "a/b",
    "%2e",
    "?x=1",
    "#",
)
NAMES = (*STRINGS, *sorted(MEANT | PLAIN), *BINARY, *(text[:5000] for text in TEXTS.values()))
NUMBERS = (0, 1, 2, 3, -1, 255, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63), 2**64 - 1)
FRACTIONS = (0.0, -1.5, 1e308, float("inf"), float("-inf"), float("nan"))
NAMING = ("model_name", "model_version", "name")
METHODS = (
    "ModelInfer",
    "ModelReady",
    "ModelMetadata",
    "ModelConfig",
    "RepositoryIndex",
    "ServerReady",
    "ServerMetadata",
)
KINDS = {
    FieldDescriptor.CPPTYPE_BOOL: (True, False),
    FieldDescriptor.CPPTYPE_STRING: NAMES,
    FieldDescriptor.CPPTYPE_FLOAT: FRACTIONS,
    FieldDescriptor.CPPTYPE_DOUBLE: FRACTIONS,
}


@pytest.fixture
def served(tmp_path: Path) -> Application:
    towers = {"both": {"text": "m", "image": "image-embedding"}}
    return all_ready(application(tmp_path, queue={"timeout_s": 0.001}, towers=towers))


def good(method: str) -> Any:
    """A request that is answered well."""
    request = message(f"inference.{method}Request")()
    if method == "ModelInfer":
        request.model_name = "m"
        request.inputs.add(name="text", datatype="BYTES", shape=[1]).contents.bytes_contents.append(TEXT.encode())
    elif "name" in request.DESCRIPTOR.fields_by_name:
        request.name = "m"
    return request


def scramble(chance: random.Random, request: Any) -> None:
    """Change one field, however deep, or have it once more."""
    if not request.DESCRIPTOR.fields:
        return
    field = chance.choice(request.DESCRIPTOR.fields)
    if field.name in NAMING and chance.random() < 0.8:  # whatever else is wrong, another model is told first
        return
    there = getattr(request, field.name)
    if field.message_type and field.message_type.GetOptions().map_entry:
        scramble(chance, there[chance.choice(chance.choice((NAMES, BINARY)))])
    elif field.message_type:
        repeated = field.is_repeated
        if repeated and len(there) and chance.random() < 0.7:
            scramble(chance, chance.choice(there))
        elif repeated:
            scramble(chance, there.add())
        else:
            there.SetInParent()
            scramble(chance, there)
    else:
        _set(chance, request, field)


def _set(chance: random.Random, request: Any, field: Any) -> None:
    values: Sequence[Any] = KINDS.get(field.cpp_type, NUMBERS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        values = tuple(name.encode() for name in NAMES)
    try:
        if field.is_repeated:
            getattr(request, field.name).extend(chance.choices(values, k=chance.choice((0, 1, 1, 2, 50))))
        else:
            setattr(request, field.name, chance.choice(values))
    except ValueError:  # the number is too large for the field
        _set(chance, request, field)


async def ask(calls: Calls, method: str, content: bytes) -> Answer:
    async def stream() -> AsyncIterator[bytes]:
        yield content

    if method == "ModelInfer":
        return await calls.infer(stream(), Caller(()))
    return await calls.lookup(method, stream(), Caller(()))


@pytest.mark.parametrize("count", [3000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_nothing_in_any_field_of_any_message_is_a_defect(served: Application, count: int) -> None:
    chance = random.Random(count)
    limits = served.embeddings.registry.config.limits
    calls = Calls(served.app, Authenticator("development", {}), lambda: limits)

    async def wrong(method: str, request: Any) -> str | None:
        try:
            answer = await ask(calls, method, request.SerializeToString())
        except Exception as error:  # whatever comes out of a call is a defect, and is named with its input
            return repr(error)
        fit = answer.code is Code.OK or (answer.details and "Traceback" not in answer.details)
        return None if answer.code in FINE and fit else f"{answer.code}: {answer.details[:200]}"

    async def failures() -> list[str]:
        told = []
        for _ in range(count):
            method = chance.choice(("ModelInfer", chance.choice((*METHODS, *REFUSED))))
            request = good(method) if method not in REFUSED else good("ServerReady")
            for _ in range(chance.randint(1, 4)):
                scramble(chance, request)
            if (why := await wrong(method, request)) is not None:
                told.append(f"{method}: {why}; sent was {str(request)[:300]}")
        return told

    assert asyncio.run(failures()) == []

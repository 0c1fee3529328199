"""The messages are those of the protocol, as the description in Triton's own client has it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import descriptor_pool
from tritonclient.grpc import model_config_pb2, service_pb2

from deployments.cluster.serve_keys import GRPC_SERVICES
from deployments.http.grpc.protocol import HEALTH, INFERENCE, POOL, REFUSED
from deployments.http.grpc.servicer import add_to_server

assert service_pb2
assert model_config_pb2  # their import fills the common pool
FILE = POOL.FindFileByName("embedserve/open_inference.proto")


def every(messages: Any) -> Iterator[Any]:
    for one in messages:
        yield one
        yield from every(one.nested_types)


def shape(field: Any) -> tuple[Any, ...]:
    names = [one and one.full_name for one in (field.message_type, field.enum_type)]
    choice = field.containing_oneof and field.containing_oneof.name
    return field.number, field.type, field.is_repeated, *names, choice


@pytest.mark.parametrize("message", list(every(FILE.message_types_by_name.values())), ids=lambda one: one.full_name)
def test_a_message_has_the_fields_that_triton_knows(message: Any) -> None:
    theirs = descriptor_pool.Default().FindMessageTypeByName(message.full_name)
    assert {field.name: shape(field) for field in message.fields} == {
        field.name: shape(theirs.fields_by_name[field.name]) for field in message.fields
    }
    assert message.GetOptions().map_entry == theirs.GetOptions().map_entry


def test_every_method_of_tritons_is_answered_or_refused_by_name() -> None:
    theirs = {method.name for method in descriptor_pool.Default().FindServiceByName(INFERENCE).methods}
    ours = {method.name for method in POOL.FindServiceByName(INFERENCE).methods}
    assert ours | set(REFUSED) == theirs
    assert not ours & set(REFUSED)


def test_a_configuration_names_what_is_there() -> None:
    module, _, name = GRPC_SERVICES.partition(":")
    assert getattr(importlib.import_module(module), name) is add_to_server


def test_the_health_service_is_grpcs() -> None:
    check, watch = POOL.FindServiceByName(HEALTH).methods
    assert (check.name, check.server_streaming, watch.name, watch.server_streaming) == ("Check", False, "Watch", True)
    status = check.output_type.fields_by_name["status"]
    assert (status.number, {one.name: one.number for one in status.enum_type.values}) == (
        1,
        {"UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 2, "SERVICE_UNKNOWN": 3},
    )

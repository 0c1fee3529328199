"""The messages of the Open Inference Protocol v2 and of gRPC's health service, made when this module is imported.

Names and numbers are the protocols' own. A table is shorter than what a protoc generates, fits every protobuf that Ray takes,
and a test compares it with the one in Triton's client.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]

INFERENCE: Final = "inference.GRPCInferenceService"
HEALTH: Final = "grpc.health.v1.Health"
# "number name type", where `*` behind a type means repeated, `{}` a map from strings to it, and `?` one of several choices.
Fields = dict[str, str]
INFERENCE_MESSAGES: Final[Fields] = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "1 live bool",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "1 ready bool",
    "ModelReadyRequest": "1 name string, 2 version string",
    "ModelReadyResponse": "1 ready bool",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "1 name string, 2 version string, 3 extensions string*",
    "ModelMetadataRequest": "1 name string, 2 version string",
    "ModelMetadataResponse": "1 name string, 2 versions string*, 3 platform string, 4 inputs .TensorMetadata*, "
    "5 outputs .TensorMetadata*",
    "ModelMetadataResponse.TensorMetadata": "1 name string, 2 datatype string, 3 shape int64*",
    "InferParameter": "1 bool_param bool?, 2 int64_param int64?, 3 string_param string?, 4 double_param double?, "
    "5 uint64_param uint64?",
    "InferTensorContents": "1 bool_contents bool*, 2 int_contents int32*, 3 int64_contents int64*, 4 uint_contents uint32*, "
    "5 uint64_contents uint64*, 6 fp32_contents float*, 7 fp64_contents double*, 8 bytes_contents bytes*",
    "ModelInferRequest": "1 model_name string, 2 model_version string, 3 id string, 4 parameters InferParameter{}, "
    "5 inputs .InferInputTensor*, 6 outputs .InferRequestedOutputTensor*, 7 raw_input_contents bytes*",
    "ModelInferRequest.InferInputTensor": "1 name string, 2 datatype string, 3 shape int64*, 4 parameters InferParameter{}, "
    "5 contents InferTensorContents",
    "ModelInferRequest.InferRequestedOutputTensor": "1 name string, 2 parameters InferParameter{}",
    "ModelInferResponse": "1 model_name string, 2 model_version string, 3 id string, 4 parameters InferParameter{}, "
    "5 outputs .InferOutputTensor*, 6 raw_output_contents bytes*",
    "ModelInferResponse.InferOutputTensor": "1 name string, 2 datatype string, 3 shape int64*, 4 parameters InferParameter{}, "
    "5 contents InferTensorContents",
    "ModelConfigRequest": "1 name string, 2 version string",
    "ModelConfigResponse": "1 config ModelConfig",
    "ModelConfig": "1 name string, 2 platform string, 17 backend string, 4 max_batch_size int32, 5 input ModelInput*, "
    "6 output ModelOutput*",
    "ModelInput": "1 name string, 2 data_type DataType, 4 dims int64*",
    "ModelOutput": "1 name string, 2 data_type DataType, 3 dims int64*",
    "RepositoryIndexRequest": "1 repository_name string, 2 ready bool",
    "RepositoryIndexResponse": "1 models .ModelIndex*",
    "RepositoryIndexResponse.ModelIndex": "1 name string, 2 version string, 3 state string, 4 reason string",
}
DATA_TYPES: Final = {"TYPE_INVALID": 0, "TYPE_FP32": 11, "TYPE_STRING": 13}  # those that a model here can have
# The calls of Triton's that are refused, and where that is said over HTTP. What their messages hold is not looked at.
REFUSED: Final = {
    "ModelStreamInfer": "/v2/stream",
    "ModelStatistics": "/v2/models/stats",
    "RepositoryModelLoad": "/v2/repository/models/-/load",
    "RepositoryModelUnload": "/v2/repository/models/-/unload",
    "TraceSetting": "/v2/trace/setting",
    "LogSettings": "/v2/logging",
    **{
        f"{kind}SharedMemory{verb}": f"/v2/{kind.lower()}sharedmemory/{verb.lower()}"
        for kind in ("System", "Cuda")
        for verb in ("Status", "Register", "Unregister")
    },
}
INFERENCE_METHODS: Final = (
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
    "ModelConfig",
    "RepositoryIndex",
)
HEALTH_MESSAGES: Final[Fields] = {
    "HealthCheckRequest": "1 service string",
    "HealthCheckResponse": "1 status .ServingStatus",
}
SERVING_STATUS: Final = {"UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 2, "SERVICE_UNKNOWN": 3}
_Field = descriptor_pb2.FieldDescriptorProto
_ENUMS: Final = ("DataType", ".ServingStatus")


def inference_file() -> descriptor_pb2.FileDescriptorProto:
    """The Open Inference Protocol, as a protoc would describe it."""
    file = _file("embedserve/open_inference.proto", "inference", INFERENCE_MESSAGES)
    _enum(file.enum_type.add(), "DataType", DATA_TYPES)
    service = file.service.add(name="GRPCInferenceService")
    for method in INFERENCE_METHODS:
        service.method.add(
            name=method, input_type=f".inference.{method}Request", output_type=f".inference.{method}Response"
        )
    return file


def health_file() -> descriptor_pb2.FileDescriptorProto:
    """The health service of gRPC."""
    file = _file("embedserve/health.proto", "grpc.health.v1", HEALTH_MESSAGES)
    _enum(file.message_type[1].enum_type.add(), "ServingStatus", SERVING_STATUS)
    service = file.service.add(name="Health")
    for method in ("Check", "Watch"):
        messages = {
            "input_type": ".grpc.health.v1.HealthCheckRequest",
            "output_type": ".grpc.health.v1.HealthCheckResponse",
        }
        service.method.add(name=method, server_streaming=method == "Watch", **messages)
    return file


def _file(name: str, package: str, messages: Fields) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3")
    made: dict[str, Any] = {}
    for path, fields in messages.items():
        outer, _, inner = path.rpartition(".")
        message = made[outer].nested_type.add(name=inner) if outer else file.message_type.add(name=path)
        made[path] = message
        for field in filter(None, fields.split(", ")):
            number, label, type_ = field.split()
            _add(message, f".{package}", path, int(number), label, type_)
    return file


def _add(message: Any, package: str, path: str, number: int, name: str, type_: str) -> None:
    field = message.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
    plain = type_.rstrip("*?{}")
    if type_.endswith(("*", "{}")):
        field.label = _Field.LABEL_REPEATED
    if type_.endswith("?"):
        if not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0
    if type_.endswith("{}"):
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        _add(entry, package, path, 1, "key", "string")
        _add(entry, package, path, 2, "value", plain)
        field.type, field.type_name = _Field.TYPE_MESSAGE, f"{package}.{path}.{entry.name}"
    elif plain[0].isupper() or plain[0] == ".":
        # A name that begins with a dot is of the message itself, or of the one around it.
        inside = f".{path}" if f"{path}{plain}" in INFERENCE_MESSAGES or plain == ".ServingStatus" else ""
        field.type = _Field.TYPE_ENUM if plain in _ENUMS else _Field.TYPE_MESSAGE
        field.type_name = f"{package}{inside}{plain if plain[0] == '.' else '.' + plain}"
    else:
        field.type = getattr(_Field, f"TYPE_{plain.upper()}")


def _enum(enum: Any, name: str, values: dict[str, int]) -> None:
    enum.name = name
    for label, number in values.items():
        enum.value.add(name=label, number=number)


# A pool of their own: Triton's client in the same process has messages of the same names in the common one.
POOL: Final = descriptor_pool.DescriptorPool()
FILES: Final = (inference_file(), health_file())
for _each in FILES:
    POOL.Add(_each)


def message(name: str) -> Any:
    """The class of a message, by its whole name."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


EMPTY: Final = message("inference.ServerLiveRequest")  # reads anything, as every message of proto3 does

"""The bodies of requests and answers, as models that only describe: requests are parsed by the adapters themselves."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, SkipJsonSchema, models_json_schema
from pydantic_core import core_schema

from deployments.config.base import ModalityName
from deployments.contract.reason import ReasonCode
from deployments.gateway.model_version import State
from deployments.http.field_values import Dtype, Encoding

COMPONENTS = "#/components/schemas/{model}"
Reference = Annotated[str, Field(min_length=1, description="name, name@version, or an alias")]
Text = Annotated[str, Field(min_length=1)]
TokenIds = Annotated[list[Annotated[int, Field(ge=0, le=2**31 - 1)]], Field(min_length=1)]
Dimensions = Annotated[int, Field(ge=1)]
Priority = Literal["interactive", "bulk"]


class ErrorDetail(BaseModel):
    """What went wrong, as OpenAI's clients expect it."""

    message: str = Field(description="what was wrong and what would be right")
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str | None


class Error(BaseModel):
    """Every answer with a status of 400 or more, but those of readiness."""

    error: ErrorDetail
    detail: str | None = Field(None, description="the message again, of requests for vectors")


class EmbeddingRequest(BaseModel):
    """``POST /v1/embeddings``."""

    model: Reference
    input: (
        Text | Annotated[list[Text], Field(min_length=1)] | TokenIds | Annotated[list[TokenIds], Field(min_length=1)]
    ) = Field(
        description="texts, token ids, or images as data:image/...;base64, URIs or bare base64; "
        "https URLs of images where the operator allows them; also a list of {'text': ...} and {'image': ...}, "
        "mixed for a name that takes both"
    )
    encoding_format: Encoding | None = "float"
    dimensions: Dimensions | None = None
    output_dtype: Dtype | None = Field(
        None, description="int8: round(127 x); uint8: the same + 128; binary, ubinary: signs, packed"
    )
    prompt_name: str | None = Field(None, description="one of the model's prompts, which stands before each input")
    input_type: str | None = Field(
        None, description="query, document, ...: the model's prompt for it, where it has prompts"
    )
    modality: ModalityName | None = Field(None, description="what the inputs are, where the model takes several")
    truncate: bool | None = Field(None, description="false: what is longer than the model reads is refused")
    user: str | None = Field(None, description="routing key when no x-routing-key header is sent")


class Embedding(BaseModel):
    """The vector of one input."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str = Field(
        description="unit vector: numbers, or base64 of little-endian float32 or output_dtype"
    )
    model: str | SkipJsonSchema[None] = Field(
        None, description="who computed it, where the answer's vectors are of several towers"
    )
    hash: str | SkipJsonSchema[None] = Field(None, description="of that artifact")


class Usage(BaseModel):
    """Tokens of the inputs."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingResponse(BaseModel):
    """Vectors in the order of the inputs, all by one artifact."""

    object: Literal["list"]
    id: str
    model: str = Field(description="name@version that computed the vectors; of several towers, all of them")
    data: list[Embedding]
    usage: Usage


class AdaptedTo(BaseModel):
    """The version in whose space vectors are."""

    to: str = Field(description="name@version: its index can be asked with these vectors")
    hash: str = Field(description="content hash of its artifact")


class Model(BaseModel):
    """One version of a model; answers hold more than is promised here."""

    id: str
    object: Literal["model"]
    version: str
    hash: str | None = Field(None, description="content hash: the cache key of its vectors")
    numerics: str | None = Field(None, description="what computes: provider, precision, instructions, runtime")
    modality: ModalityName | SkipJsonSchema[None] = None
    dimensions: int | None = None
    precision: str | None = None
    weights: Literal["pretrained", "synthetic"] | None = None
    batch_dependent: bool | None = Field(
        None, description="whether a vector depends on the other inputs of its batch; none of it is cached"
    )
    adapted: AdaptedTo | None = Field(
        None, description="where vectors are mapped into another version's space; null where they are the model's own"
    )
    prompts: list[str] | None = Field(None, description="names that prompt_name may have")
    state: State
    reason: str | None = Field(None, description="why it does not serve what was asked for, for people")
    reason_code: str | None = Field(
        None, description="the same for programs", json_schema_extra={"enum": [*ReasonCode, None]}
    )
    warnings: list[str] = Field([], description="why it computes elsewhere, or less well, than it should, for people")
    share: float
    replicas: int


class Tensor(BaseModel):
    """The one input of a KServe request."""

    name: ModalityName
    datatype: Literal["BYTES"]
    shape: list[Annotated[int, Field(ge=1)]] = Field(min_length=1, max_length=2)
    data: list[Text] = Field(min_length=1, description="as many items as shape says: texts, or base64 of images")


class InferRequest(BaseModel):
    """A KServe v2 request in JSON."""

    id: Any = Field(None, description="given back when it is a string")
    inputs: list[Tensor] = Field(min_length=1, max_length=1)


class _Plain(GenerateJsonSchema):
    """Schemas without titles, docstrings and defaults of null; what may be null is ``"type": ["string", "null"]``."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        described.pop("title", None)
        described.pop("description", None)
        return described

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        if "type" not in inner:
            return super().nullable_schema(schema)
        values = {"enum": [*inner["enum"], None]} if "enum" in inner else {}
        return {**inner, **values, "type": [inner["type"], "null"]}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default") is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def components() -> dict[str, Any]:
    """Every schema by its name, as OpenAPI's ``components/schemas`` hold them."""
    models = (Error, EmbeddingRequest, EmbeddingResponse, Model, InferRequest)
    _, described = models_json_schema(
        [(model, "validation") for model in models], ref_template=COMPONENTS, schema_generator=_Plain
    )
    index = {"type": "array", "items": {"type": "object"}}
    return {**described["$defs"], "Any": {"type": "object"}, "RepositoryIndex": index}


def schema_of(annotation: Any) -> dict[str, Any]:
    """The schema of a type, for a parameter."""
    return TypeAdapter(annotation).json_schema(schema_generator=_Plain)


def reference_to(name: str) -> dict[str, str]:
    """A schema that points at a component."""
    return {"$ref": COMPONENTS.format(model=name)}

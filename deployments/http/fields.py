"""Fields of requests that change what an answer means: each is honoured or refused, whichever neighbour's protocol it is from.

Clients send what their own service knows. Voyage's read what they asked for as ``int8`` out of whatever bytes come back; a field
that was dropped is a wrong vector with status 200. Names that no such protocol has are ignored, as OpenAI does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from deployments.contract.short_repr import short_repr
from deployments.http.field_values import (
    Dtype,
    Encoding,
    dimensions_of,
    dtype_of,
    encoding_of,
    flag_of,
    text_of,
    truncate_of,
)
from models.errors import InputError

PLAIN: Final = frozenset({"model", "input", "user", "encoding_format", "dimensions"})  # nothing else to look at

# What a service like this one does anyway, by field; every other value is refused.
AS_IT_IS: Final[Mapping[str, tuple[tuple[Any, ...], str]]] = {
    "late_chunking": ((False,), "each input gets a vector of its own"),
    "return_multivector": ((False,), "each input gets one vector"),
    "add_special_tokens": ((True,), "the model's own start and end tokens are added"),
    "truncation_direction": (("right", "Right"), "what is too long is cut at its end"),
    "truncate_prompt_tokens": ((-1,), "what is too long is cut where the model ends; send shorter texts"),
    "messages": ((), "send texts as 'input'"),
    "instruction": (("",), "write it before the text"),
    "prompt": (("",), "write it before the text"),
    "task_instruction": (("",), "write it before the text"),
    "embedding_types": (("float", ["float"]), "say output_dtype, or use /v2/embed"),
    "pooling": ((), "the model's own pooling counts"),
    "mrl": ((), "say dimensions"),
    "endianness": (("native", "little"), "bytes are little-endian"),
    "embed_dtype": (("float32",), "say output_dtype"),
    "truncation_strategy": ((), "say truncate"),
}
KINDS: Final = ("input_type", "task", "task_type")  # of input: each of them is a neighbour's word for the same
MEANT: Final = (
    frozenset(AS_IT_IS)
    | frozenset(KINDS)
    | {
        "prompt_name",
        "modality",
        "output_dimension",
        "output_dtype",
        "embedding_type",
        "truncate",
        "truncation",
        "normalize",
        "normalized",
    }
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request says of its vectors, beside the inputs."""

    dimensions: int | None = None  # None: all that the model has
    encoding: Encoding = "float"
    dtype: Dtype = "float"
    truncate: bool | None = None  # None: not said
    normalize: bool | None = None
    prompt: str | None = None  # the named prompt
    kind: str | None = None  # of the inputs: a query, a document
    modality: str | None = None  # of the inputs, where the request says it
    modalities: Sequence[str] | None = None  # of each input, where the request says it and they differ

    def of_inputs(self, modalities: Sequence[str]) -> Wanted:
        """The same of inputs whose modalities the request says one by one.

        Raises:
            InputError: it says something else of all of them.
        """
        if self.modality is not None and any(one != self.modality for one in modalities):
            raise InputError("modality and what the inputs say of themselves contradict each other", param="modality")
        same = len(set(modalities)) == 1
        return replace(self, modality=modalities[0]) if same else replace(self, modality=None, modalities=modalities)


AS_USUAL: Final = Wanted()


def wanted_of(body: Mapping[str, Any]) -> Wanted:
    """Read the fields of a JSON body.

    Raises:
        InputError: a value is wrong, two fields contradict each other, or nothing here can do what one asks for.
    """
    encoding, dimensions = encoding_of(body.get("encoding_format")), dimensions_of(body.get("dimensions"))
    if body.keys() <= PLAIN or MEANT.isdisjoint(body):
        return Wanted(dimensions, encoding) if dimensions is not None or encoding != "float" else AS_USUAL
    for name, (values, instead) in AS_IT_IS.items():
        value = body.get(name)
        if value is not None and value not in values:
            raise InputError(f"{name}: {short_repr(value)} is not offered: {instead}", param=name)
    dtype = body.get("embedding_type")
    if dtype in ("base64", ["base64"]):
        encoding, dtype = "base64", None
    dtypes = {"output_dtype": body.get("output_dtype"), "embedding_type": dtype}
    return Wanted(
        _the_one(
            {
                "dimensions": dimensions,
                "output_dimension": dimensions_of(body.get("output_dimension"), "output_dimension"),
            }
        ),
        encoding,
        _the_one({name: dtype_of(value, name) for name, value in dtypes.items()}) or "float",
        _the_one({name: truncate_of(body.get(name), name) for name in ("truncate", "truncation")}),
        _the_one({name: flag_of(body.get(name), name) for name in ("normalize", "normalized")}),
        text_of(body.get("prompt_name"), "prompt_name"),
        _the_one({name: text_of(body.get(name), name) for name in KINDS}),
        text_of(body.get("modality"), "modality"),
    )


def wanted_of_query(query: Mapping[str, str]) -> Wanted:
    """The same of a query, whose values are all text.

    Raises:
        InputError: as of a body.
    """
    body: dict[str, Any] = dict(query)
    for name in ("dimensions", "output_dimension"):
        if name in body:
            body[name] = dimensions_of(body[name], name, text=True)
    for name, value in body.items():
        body[name] = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    return wanted_of(body)


def _the_one(given: Mapping[str, Any]) -> Any:
    """The value of fields that mean the same."""
    said = {name: value for name, value in given.items() if value is not None}
    if len(set(said.values())) > 1:
        raise InputError(f"{' and '.join(said)} contradict each other; send one of them", param=next(iter(said)))
    return next(iter(said.values()), None)

"""What schemathesis' requests lack that a schema cannot say, and which of them are left as they are.

A picture must be one, ``shape`` counts ``data``, there are these models and no others. Requests that follow the schema in
everything are fitted in that much; those that break it are sent as they were made. schemathesis loads this module.
"""

from __future__ import annotations

import base64
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, HookContext

from tests.faults.hostile.pictures import encoded, scene

PICTURE = encoded(scene(), "PNG")
PACKED = ("binary", "ubinary")  # eight dimensions to a byte
VOCABULARY, TEXT_DIMENSIONS, IMAGE_DIMENSIONS = 30_522, 384, 512

for kind in ("image/jpeg", "image/png", "image/webp", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, st.just(PICTURE))


@schemathesis.hook
def map_case(_: HookContext, case: Case) -> Case:
    """Make a request that follows the schema one that makes sense."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return case
    if "model" in (case.path_parameters or {}):
        case.path_parameters["model"] = "text-embedding"
    if "version" in (case.path_parameters or {}):
        case.path_parameters["version"] = "1.0.0"
    if "x-truncate" in (case.headers or {}):
        case.headers["x-truncate"] = "true"
    path = case.operation.path
    if path == "/v1/embeddings":
        _fit_texts(case.body)
    elif path == "/v1/embeddings/image":
        _fit_pictures(case)
    elif path.endswith("/infer"):
        tensor = case.body["inputs"][0]
        tensor["name"] = "text"
        tensor["shape"] = [len(tensor["data"])]
    return case


def _fit_texts(body: dict[str, Any]) -> None:
    if isinstance(body["input"], str) and len(body["input"]) == 1:
        body.update(model="image-embedding", input=base64.b64encode(PICTURE).decode())
    else:
        body["model"] = "text-embedding"
    for field in ("prompt_name", "modality"):  # the shipped models have no prompts, and one modality each
        body.pop(field, None)
    if body.get("truncate") is False:
        body["truncate"] = True  # some texts are too long
    if body.get("output_dtype") in PACKED:
        body.pop("dimensions", None)
    if body.get("dimensions"):
        body["dimensions"] = int(body["dimensions"] - 1) % TEXT_DIMENSIONS + 1
    if isinstance(body["input"], list):
        body["input"] = [_known(item) for item in body["input"]]


def _known(item: Any) -> Any:
    """Token ids of the vocabulary, as integers: JSON Schema counts 1.0 among them."""
    if isinstance(item, list):
        return [_known(one) for one in item]
    return int(item) % VOCABULARY if isinstance(item, int | float) else item


def _fit_pictures(case: Case) -> None:
    if "model" in case.query:
        case.query["model"] = "image-embedding"
    if case.query.get("output_dtype") in PACKED:
        case.query.pop("dimensions", None)
    if "dimensions" in case.query:
        case.query["dimensions"] = (int(case.query["dimensions"]) - 1) % IMAGE_DIMENSIONS + 1
    if case.media_type == "multipart/form-data":
        case.body["file"] = [PICTURE for _ in case.body["file"]]

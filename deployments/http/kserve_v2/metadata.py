"""What KServe's clients are told of a version: the names, types and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deployments.gateway.model_version import ModelVersion
from deployments.http.kserve_v2.answer import OUTPUT


def metadata_of(version: ModelVersion, all_versions: Iterable[ModelVersion]) -> dict[str, Any]:
    """The document of ``GET /v2/models/NAME``.

    Args:
        version: the one asked for.
        all_versions: of its model.
    """
    return {
        "name": version.model,
        "versions": [one.version for one in all_versions],
        "platform": "onnxruntime",
        "inputs": [{"name": version.modality, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, dimensions_of(version)]}],
    }


def config_of(version: ModelVersion) -> dict[str, Any]:
    """The document of ``GET /v2/models/NAME/config``, as Triton's clients ask for it."""
    return {
        "name": version.model,
        "platform": "onnxruntime",
        "backend": "onnxruntime",
        "max_batch_size": 0,  # so that shapes hold the number of items, as those of requests do
        "input": [{"name": version.modality, "data_type": "TYPE_STRING", "dims": [-1]}],
        "output": [{"name": OUTPUT, "data_type": "TYPE_FP32", "dims": [-1, dimensions_of(version)]}],
    }


def dimensions_of(version: ModelVersion) -> int:
    """Of a version's vectors; -1 while no replica has said it."""
    return version.info.dimensions if version.info else -1

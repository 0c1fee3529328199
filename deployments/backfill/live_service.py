"""What a running service computes: the artifact, the numerics class, and its vectors of the golden items."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import cast

import httpx2
import numpy as np

from deployments.backfill.expectation import Expectation, golden_items
from deployments.backfill.identity import Identity
from deployments.operator.served import Entry, credentials, served_versions
from models.catalog.model_spec import ModelSpec
from models.errors import JobError
from models.http_client import direct
from models.inputs.prompted import Prompted
from models.modalities.base import Item

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Live:
    """A version as a service serves it."""

    identity: Identity
    expectation: Expectation
    prompts: tuple[str, ...] = ()  # names of its prompts that a request may ask for


def look(url: str, spec: ModelSpec) -> Live:
    """What a service that answers at ``url`` computes for a version.

    Raises:
        JobError: it does not serve the version, or does not say what computes it.
        UnavailableError: it does not answer.
        ForbiddenError: it asks for an API key.
    """
    entries = {entry["id"]: entry for entry in served_versions(url)}
    entry = entries.get(spec.reference)
    if entry is None:
        raise JobError(f"{url} does not serve {spec.reference}; it serves: {', '.join(sorted(entries)) or 'nothing'}")
    if not entry.get("hash") or not entry.get("numerics"):
        raise JobError(
            f"{url} serves {spec.reference} and no replica of it is ready: {entry.get('reason') or 'no reason'}"
        )
    expectation = Expectation(entry["hash"], entry["numerics"], _vectors(url, spec, entry), f"{url} serves")
    identity = Identity(spec, spec.reference, entry["hash"], entry["weights"] == "synthetic")
    return Live(identity, expectation, tuple(entry.get("prompts") or ()))


def _vectors(url: str, spec: ModelSpec, entry: Entry) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The service's vectors of the golden items, float32 [n, d]."""
    body = {
        "model": spec.reference,
        "input": [written(item) for item in golden_items(spec.type)],
        "encoding_format": "base64",
    }
    try:
        with direct(timeout=TIMEOUT_S) as client:
            answer = client.post(f"{url.rstrip('/')}/v1/embeddings", json=body, headers=credentials())
        if answer.status_code != 200:
            raise JobError(f"{url} does not embed the golden inputs: {answer.status_code} {answer.text[:200]}")
        rows = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in answer.json()["data"]]
    except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
        raise JobError(f"{url} does not embed the golden inputs: {error}") from error
    if answer.headers.get("x-model-hash") != entry["hash"]:
        raise JobError(f"{url} swapped {spec.reference} a moment ago; start the command again")
    return np.stack(rows).astype(np.float32)


def written(item: Item) -> str:
    """An input as JSON has it."""
    if isinstance(item, Prompted):
        return written(item.content)
    return item if isinstance(item, str) else f"data:image/png;base64,{base64.b64encode(cast(bytes, item)).decode()}"

"""What a running service says of itself over HTTP. Commands that only look need nothing of Ray, whose import takes three seconds."""

from __future__ import annotations

import os
from typing import Any

import httpx2

from deployments.operator.traffic_stats import TrafficStats, parse
from models.errors import ForbiddenError, UnavailableError
from models.http_client import direct

TIMEOUT_S = 15.0
KEY_VARIABLE = "EMBEDSERVE_API_KEY"  # and no option: every user of the machine can read command lines
Entry = dict[str, Any]  # a version as /v1/models describes it


def credentials() -> dict[str, str]:
    """The header with the operator's API key; none where the environment has no key."""
    key = os.environ.get(KEY_VARIABLE)
    return {"authorization": f"Bearer {key}"} if key else {}


def served_versions(url: str) -> list[Entry]:
    """The entries of ``/v1/models``. A new connection each time, so that the replicas take turns.

    Raises:
        ForbiddenError: the service asks for an API key, and the one in the environment does not do.
        UnavailableError: nothing answers at ``url``, or something else than this service.
    """
    try:
        with direct(timeout=TIMEOUT_S) as client:
            answer = client.get(f"{url.rstrip('/')}/v1/models", headers=credentials())
        if answer.status_code in (401, 403):
            raise ForbiddenError(f"{url} asks for an API key; {KEY_VARIABLE} must hold one", code="invalid_api_key")
        answer.raise_for_status()
        # Names that route are listed too; they have no version of their own.
        entries: list[Entry] = [entry for entry in answer.json()["data"] if "@" in entry["id"]]
    except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
        raise UnavailableError(
            f"no service answers at {url}: {error}; --url says where it is, `make run` starts one"
        ) from error
    return entries


def traffic_stats(url: str) -> dict[str, TrafficStats]:
    """What each version counted; empty when the service exports nothing of the kind, or not to this API key."""
    try:
        with direct(timeout=TIMEOUT_S) as client:
            answer = client.get(f"{url.rstrip('/')}/metrics", headers=credentials())
        answer.raise_for_status()
        return parse(answer.text)
    except (httpx2.HTTPError, ValueError):
        return {}

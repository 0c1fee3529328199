from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.auth.api_keys import new_key
from deployments.auth.key_file import FILE_VARIABLE, changing
from deployments.cluster.ports import free_port
from deployments.cluster.serve_keys import GRPC_SERVICES
from tests.integration.documents import Document, keep_only, user_config
from tests.integration.isolated import Isolated, isolated

EMBED, ADMIN = new_key("shop", ("embed",)), new_key("ops", ("admin",))
LIMITED = new_key("limited", ("embed",))  # two inputs at once, one every five seconds


@pytest.fixture(scope="package")
def running() -> Iterator[Isolated]:
    """The text model in the production profile, with API keys, over HTTP and gRPC."""
    with isolated("--profile", "production", change=_change, prepare=_write_keys) as service:
        yield service


def _change(document: Document) -> None:
    """Leave out pictures, whose weights production would refuse where they are random, and limit one key's rate."""
    keep_only(document, "text")
    document["grpc_options"] = {"port": free_port(), "grpc_servicer_functions": [GRPC_SERVICES]}
    user_config(document)["rate"] = {"keys": {"limited": 0.2}, "burst_s": 10}
    for app in document["applications"]:
        app["args"]["profile"] = "production"  # also where a test deploys it again


def _write_keys(folder: Path) -> dict[str, str]:
    with changing(folder / "api-keys") as keys:
        keys += [EMBED[1], ADMIN[1], LIMITED[1]]
    return {FILE_VARIABLE: str(folder / "api-keys")}

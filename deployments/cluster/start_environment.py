"""What this machine must allow before a service starts on it, and what its environment lacks for that."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, MutableMapping
from pathlib import Path

import ray.util

from deployments.cluster import hosts, open_files
from deployments.cluster.serve_api import TOKEN_FILE, ClusterError
from models.http_client import unproxied

TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def prepare(host: str, port: int, environment: MutableMapping[str, str]) -> list[str]:
    """Complete the environment that Ray will be started with; returns what its user should know.

    Args:
        host: where the service will listen.
        port: likewise.
        environment: of this process.

    Raises:
        ClusterError: nothing can listen there.
        ConfigError: too few files may be open.
    """
    if refusal := hosts.refusal(host, port):
        raise ClusterError(refusal)
    notes = []
    hard = open_files.hard_limit()
    if fitting := open_files.fitting(hard, environment):
        (connections,) = fitting.values()
        notes.append(
            f"{hard} open files are allowed here: HAProxy takes {connections} connections at once instead of "
            f"{open_files.CONNECTIONS}; for more, {open_files.remedy()}"
        )
    token = own_token(environment)
    if token:
        notes.append(
            f"the home folder cannot keep Ray's token, so this Ray has one that ends with it; for commands like `embedserve "
            f"swap`, set HOME to a folder that can be written, or {TOKENS[0]} before the start and for them"
        )
    own: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    environment.update(fitting | token | unproxied(environment, [own]))
    return notes


def own_token(environment: Mapping[str, str]) -> dict[str, str]:
    """A new token for a Ray, where the home folder neither holds one nor lets Ray write one."""
    if any(environment.get(name) for name in TOKENS) or environment.get("RAY_AUTH_MODE", "token").lower() != "token":
        return {}
    try:
        file = Path.home() / TOKEN_FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        usable = os.access(file, os.R_OK) if file.exists() else os.access(file.parent, os.W_OK | os.X_OK)
    except (OSError, RuntimeError):  # the latter for a user without a home
        usable = False
    return {} if usable else {TOKENS[0]: secrets.token_hex(32)}

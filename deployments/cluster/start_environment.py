"""What this machine must allow before a service starts on it, and what its environment lacks for that."""

from __future__ import annotations

from collections.abc import MutableMapping

import ray.util

from deployments.cluster import hosts, open_files
from deployments.cluster.ray_token import TOKENS, own_token
from deployments.cluster.serve_api import ClusterError
from models.http_client import unproxied


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

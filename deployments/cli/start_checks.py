"""What ``embedserve up`` refuses before it starts anything."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployments.cluster.serve_file import ServeConfig


def require_free(config: ServeConfig, beside: bool) -> None:
    """Refuse to start where a port is taken, or another Ray runs and nobody said that it may.

    Raises:
        ClusterError: it is so.
    """
    from deployments.cluster.hosts import require_port
    from deployments.cluster.ports import holder, port_taken
    from deployments.cluster.serve_api import ClusterError
    from deployments.serve_internals.local_rays import local_rays

    port, for_grpc = config.port, config.grpc_port
    require_port(port)
    if port_taken(port):
        raise ClusterError(
            f"port {port} is taken by {holder(port)}; choose another one: `make run PORT={port + 1}` or "
            f"`embedserve up --port {port + 1}`"
        )
    if for_grpc is not None and (for_grpc == port or port_taken(for_grpc)):
        by = "HTTP" if for_grpc == port else holder(for_grpc)
        raise ClusterError(f"port {for_grpc}, for gRPC, is taken by {by}; choose another one: grpc_options.port")
    rays = [] if beside else local_rays() or []
    if rays:
        raise ClusterError(
            f"a Ray runs on this machine already ({', '.join(rays)}); deploy onto it with `embedserve up --address "
            "http://127.0.0.1:8265` (its dashboard), or start one of our own beside it with `make run BESIDE=1` or "
            "`embedserve up --beside`"
        )


def require_keys(config: ServeConfig) -> bool:
    """Whether the gateway will ask for API keys; what it would refuse to start for is said here already.

    Raises:
        ConfigError: the keys cannot be read, or the production profile has none.
    """
    from deployments.auth.authenticator import Authenticator
    from deployments.auth.key_file import FILE_VARIABLE

    if file := os.environ.get(FILE_VARIABLE):
        os.environ[FILE_VARIABLE] = str(Path(file).expanduser().absolute())  # the gateway runs in another folder
    auth = Authenticator("production" if "production" in config.profiles else "development")
    auth.configure(config.auth)
    return auth.required


def require_secret(config: ServeConfig) -> None:
    """Say before anything starts that the gateway would refuse to: exposures need a secret.

    Raises:
        ConfigError: they are configured, and the secret cannot be read.
    """
    from deployments.gateway.assignment import Assignments
    from deployments.gateway.exposures import read_secret

    exposures = Assignments.of(config.document, "the configuration").config.experiments.exposures
    if exposures is not None:
        read_secret(exposures)

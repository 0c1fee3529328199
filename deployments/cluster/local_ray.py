"""A local Ray with Serve in high-throughput mode."""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import ray

from deployments.cluster.ports import free_block, free_port, port_taken
from deployments.cluster.serve_api import ClusterError
from deployments.rpc.server import HOST_VARIABLE
from deployments.serve_internals.local_rays import local_rays
from deployments.serve_internals.seams import SEAMS
from deployments.serve_internals.settings import HAPROXY_OFFSET, HAPROXY_PORTS, PORT_OFFSETS, node_variables

LOGICAL_CPUS = 8  # Ray's bookkeeping on small machines: room for a second version beside the first
RAY_SOCKET_PATH = 60  # Unix sockets end at 107 characters and Ray appends about 45 to its folder


@dataclass(frozen=True)
class LocalRay:
    """A Ray that lives and dies with this process."""

    dashboard: str  # base URL of the dashboard and of Serve's REST API
    folder: Path  # logs and sockets


def start_local(cpus: int | None = None) -> LocalRay:
    """Start a Ray of our own in high-throughput mode.

    Raises:
        ClusterError: it does not start.
        ConfigError: ``EMBEDSERVE_INTERNALS`` names what does not exist.
    """
    for name, value in node_variables(SEAMS.on).items():
        os.environ.setdefault(name, value)
    first = free_block()
    for offset, name in PORT_OFFSETS.items():
        os.environ.setdefault(f"RAY_SERVE_{name}_PORT", str(first + offset))
    alone = local_rays() == []
    for offset, (name, port) in enumerate(HAPROXY_PORTS.items(), first + HAPROXY_OFFSET):
        if not alone or port_taken(port):
            os.environ.setdefault(name, str(offset))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault(HOST_VARIABLE, "127.0.0.1")  # gateways of another node there are none
    os.umask(0o077)  # Ray writes its token and its logs with the umask it finds
    folder = Path(tempfile.mkdtemp(prefix="embedserve-"))
    if len(str(folder)) > RAY_SOCKET_PATH:
        folder = Path(tempfile.mkdtemp(prefix="embedserve-", dir="/tmp"))
    try:
        context = ray.init(
            address="local",
            num_cpus=cpus or max(LOGICAL_CPUS, os.cpu_count() or 1),
            include_dashboard=True,
            dashboard_host="127.0.0.1",
            dashboard_port=free_port(),
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(folder),
        )
    except Exception as error:  # ray.init raises whatever its processes die of
        raise ClusterError(f"Ray did not start: {str(error).splitlines()[0]}; its logs are in {folder}") from error
    return LocalRay(f"http://{context.dashboard_url}", folder)

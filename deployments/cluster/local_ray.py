"""A local Ray with Serve in high-throughput mode."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

from deployments.autoscaling.core_budget import VARIABLE as CORES_VARIABLE
from deployments.autoscaling.core_budget import cores_of
from deployments.cluster.ports import free_block, port_taken
from deployments.cluster.ray_token import AUTH_MODE
from deployments.cluster.serve_api import ClusterError
from deployments.cluster.supervised import RAY_ENDED, Supervised
from deployments.rpc.server import HOST_VARIABLE
from deployments.serve_internals import lean_serve
from deployments.serve_internals.haproxy_rules import Rules
from deployments.serve_internals.local_rays import local_rays
from deployments.serve_internals.seams import SEAMS
from deployments.serve_internals.settings import HAPROXY_OFFSET, HAPROXY_PORTS, PORT_OFFSETS, node_variables
from models.engine.cores import usable_cores

LOGICAL_CPUS = 8  # Ray's bookkeeping on small machines: room for a second version beside the first
NOTICED_S = 1.5  # in which the guardian has noticed and told what ended


@dataclass
class LocalRay:
    """A Ray that lives and dies with this process."""

    dashboard: str  # base URL of the dashboard and of Serve's REST API
    address: str  # of Ray's control plane, for drivers
    supervised: Supervised

    @property
    def logs(self) -> str:
        """Where Ray and Serve write what they have to say."""
        return str(self.supervised.folder.logs)

    def wait(self, lost: Callable[[str], None]) -> str:
        """Stay until it ends without being told to; returns why.

        Args:
            lost: hears of each part that has ended, and that it goes on without.
        """
        ended = None
        while line := self.supervised.line():
            about = json.loads(line)
            ended = about.get("ended", ended)
            if "lost" in about:
                lost(about["lost"])
        return self._why(ended or _how_it_ended(self.supervised.wait()))

    def why_silent(self) -> str | None:
        """Why it answers no more: which of its parts has ended; None where all of them live."""
        while line := self.supervised.line(NOTICED_S):
            about = json.loads(line)
            if "ended" in about:
                return self._why(about["ended"])
            return str(about["lost"])
        status = self.supervised.status()
        return None if status is None else self._why(_how_it_ended(status))

    def _why(self, ended: str) -> str:
        return (
            f"Ray ended by itself ({ended}; a killed process often means too little memory: `dmesg` names it); Ray's logs are in "
            f"{self.logs} until the next start"
        )


def start_local(supervised: Supervised, cpus: int | None = None) -> LocalRay:
    """Start a Ray of our own in high-throughput mode.

    Args:
        supervised: what it runs under; the caller ends it.
        cpus: how many Ray believes that there are.

    Raises:
        ClusterError: it does not start.
        ConfigError: the environment asks for what does not exist, or would open Ray to the network.
    """
    options = {
        "folder": str(supervised.folder.path),
        "haproxy": SEAMS.on("haproxy_process"),
        "cpus": cpus or max(LOGICAL_CPUS, os.cpu_count() or 1),
        "lean": SEAMS.on("lean_node"),
    }
    command = [sys.executable, "-P", "-m", "deployments.cluster.guardian", json.dumps(options)]
    supervised.start(command, node_environment())
    why: dict[str, str] = {}
    while line := supervised.line():
        about = json.loads(line)
        if "dashboard" not in about:
            why |= about
        elif why:
            break  # it started, and one of its parts has ended since
        else:
            return LocalRay(about["dashboard"], about["address"], supervised)
    said = [why[key] for key in ("ended", "lost", "error") if key in why] or [_how_it_ended(supervised.wait())]
    raise ClusterError(
        f"Ray did not start: {'; '.join(said)}; Ray's logs are in {supervised.folder.ray} until the next start"
    )


def node_environment() -> dict[str, str]:
    """The environment that Ray and all of its processes start with; the guardian adds what lies in the folder of the run.

    Raises:
        ConfigError: ``EMBEDSERVE_INTERNALS`` names what does not exist, or a setting of HAProxy's rules or the number of
            cores is wrong.
    """
    environment = dict(node_variables(SEAMS.on))
    first = free_block()
    for offset, name in PORT_OFFSETS.items():
        environment[f"RAY_SERVE_{name}_PORT"] = str(first + offset)
    alone = local_rays() == []
    for offset, (name, port) in enumerate(HAPROXY_PORTS.items(), first + HAPROXY_OFFSET):
        if not alone or port_taken(port):
            environment[name] = str(offset)
    environment["RAY_USAGE_STATS_ENABLED"] = "0"
    environment[HOST_VARIABLE] = "127.0.0.1"  # gateways of another node there are none
    environment[CORES_VARIABLE] = str(usable_cores())  # Ray is told of more
    environment |= os.environ  # an operator's own settings count for more
    cores_of(environment)  # a wrong number is said here, not by the log of Serve's controller
    environment[AUTH_MODE] = "token"
    if SEAMS.on("lean_serve"):
        environment |= lean_serve.variables(os.environ)
    if SEAMS.on("haproxy_process"):
        Rules.of(environment)  # a wrong setting is said here, not by HAProxy's log
    return environment


def _how_it_ended(status: int) -> str:
    if status < 0:
        return f"what it ran under was ended by {signal.Signals(-status).name}"
    return "one of its processes is gone" if status == RAY_ENDED else f"exit status {status}"

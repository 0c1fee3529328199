"""A local Ray with Serve in high-throughput mode, and Serve's REST API on any cluster."""

from __future__ import annotations

import logging
import os
import random
import re
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import ray
from ray.dashboard.modules.serve.sdk import ServeSubmissionClient

from deployments.cluster.serve_file import ServeConfig
from deployments.config.old_import_paths import refuse_old_variable
from deployments.rpc.server import HOST_VARIABLE
from models.errors import EmbedserveError

# Ray offers no settings for these: what follows the balance algorithm goes into the same section of HAProxy's configuration.
HAPROXY_DEFAULTS = (
    "leastconn",
    "timeout http-request 10s",  # in which a request's headers must arrive; Ray waits for an hour
    # As many requests as a gateway takes (`queue.open_requests`). Refusing one costs the gateway a quarter of a millisecond,
    # HAProxy a tenth of that. Four times what 2 cores bear, for 30 s: 1,277 requests/s are answered well with 256 here,
    # 1,045 with 512 or 1,024; without a bound HAProxy's connections ran out, it took the gateway for dead, and 352 were.
    "default-server maxconn 256",
    "timeout queue 50ms",  # how long a request may wait for one of them; then 503
    "http-error status 503 content-type application/json hdr retry-after 1 string "
    """'{"error":{"message":"the service is at capacity, or no gateway is ready","type":"server_error","""
    """"param":null,"code":"unavailable"}}'""",
)
# Read by Ray's head and by every worker node when they start; docs/operations.md lists them for clusters.
SWITCHES = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",  # requests reach the gateway through HAProxy: 0.3 ms instead of 8 ms
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",  # gRPC between replicas, one event loop, buffered logs
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(256 << 20),  # pictures exceed gRPC's 4 MiB
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "deployments.serve_internals.http_shortcut:middlewares",
    # A gateway that dies takes requests with it. An embedding is idempotent: HAProxy asks another one, as far as the
    # request fits into its buffer of 16 KiB.
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
    "RAY_SERVE_HAPROXY_BALANCE_ALGORITHM": "\n    ".join(HAPROXY_DEFAULTS),
    "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "120",  # of a client that neither sends nor reads; 3600 by default
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",  # HAProxy is started anew after three; 10 by default
    # Serve's own counts of requests, made of a line that HAProxy writes for each: 45 µs of processor time a request for
    # what embedserve_requests and HAProxy's port 9101 tell as well.
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
    # An update, which a swap is to Serve, during which three replicas for each wanted one fail would be given up: nothing
    # is started any more until somebody deploys, even with no replica left. Ours refuse a bad artifact and keep the old
    # one, and code that cannot start still never replaces code that runs.
    "RAY_SERVE_STOP_FAILED_ROLLING_UPDATES": "0",
    # glibc's default of 8 heaps per core keeps holes in each: 12 swaps left a replica 22 % larger, with 2 heaps 3 %.
    # The engine alone pays 0 to 3 % for it.
    "MALLOC_ARENA_MAX": "2",
}
# Ports that HAProxy would take from another Serve on this machine, which may be between two HAProxies just now.
HAPROXY_PORTS = {"RAY_SERVE_HAPROXY_METRICS_PORT": 9101, "RAY_SERVE_HAPROXY_STATS_PORT": 8404}
LOGICAL_CPUS = 8  # Ray's bookkeeping on small machines: room for a second version beside the first
RAY_SOCKET_PATH = 60  # Unix sockets end at 107 characters and Ray appends about 45 to its folder
PORT_BLOCKS = (20000, 32000, 202)  # below the range that Linux gives to outgoing connections
PORT_OFFSETS = {
    0: "DIRECT_INGRESS_MIN_HTTP",
    98: "DIRECT_INGRESS_MAX_HTTP",
    99: "DIRECT_INGRESS_MIN_GRPC",
    197: "DIRECT_INGRESS_MAX_GRPC",
    198: "FALLBACK_PROXY_HTTP",
    199: "FALLBACK_PROXY_GRPC",
}
HAPROXY_OFFSET = 200  # of the first of HAProxy's own ports
LISTEN = "0A"  # as /proc/net/tcp writes the state
LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLL_S = 0.2
DEPLOY_ATTEMPTS = 3
ERROR_LINE = re.compile(r"^[\w.]*(Error|Exception)\b.*: ")  # the last line of a Python traceback


class ClusterError(EmbedserveError):
    """Ray or Serve could not do what was asked."""


@dataclass(frozen=True)
class LocalRay:
    """A Ray that lives and dies with this process."""

    dashboard: str  # base URL of the dashboard and of Serve's REST API
    folder: Path  # logs and sockets


def port_taken(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def free_port() -> int:
    """A port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def free_block() -> int:
    """The first of 202 neighbouring ports that nothing listens on.

    Every Serve takes the same ports by default, and its fallback proxies even share one (SO_REUSEPORT): of two on one
    machine, HAProxy of the first then sends requests to the second whenever it believes its own replicas down.
    """
    starts = list(range(*PORT_BLOCKS))
    random.shuffle(starts)
    taken = listening_ports()
    return next(start for start in starts if taken.isdisjoint(range(start, start + PORT_BLOCKS[2])))


def listening_ports() -> set[int]:
    """Local TCP ports in use."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in _table(name)]
    return {int(fields[1].rpartition(":")[2], 16) for fields in lines if fields[3] == LISTEN}


def _table(name: str) -> list[str]:
    try:
        return Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []


def running_rays() -> list[str]:
    """Addresses of the Rays that run on this machine."""
    from ray._private.services import find_gcs_addresses

    addresses: set[str] = find_gcs_addresses()  # type: ignore[no-untyped-call]
    return sorted(addresses)


def start_local(cpus: int | None = None) -> LocalRay:
    """Start a Ray of our own in high-throughput mode.

    Raises:
        ClusterError: it does not start.
        ConfigError: the environment is of an earlier version.
    """
    refuse_old_variable()
    for name, value in SWITCHES.items():
        os.environ.setdefault(name, value)
    first = free_block()
    for offset, name in PORT_OFFSETS.items():
        os.environ.setdefault(f"RAY_SERVE_{name}_PORT", str(first + offset))
    alone = not running_rays()
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


def use_token_if_there() -> None:
    """Let Ray's REST client send the token that a local Ray leaves in the home folder, unless RAY_AUTH_MODE decides."""
    from ray._private.authentication import authentication_token_setup

    authentication_token_setup.logger.setLevel(logging.ERROR)
    authentication_token_setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


class ServeApi:
    """Serve's REST API; finds Ray's token as Ray's own tools do."""

    def __init__(self, dashboard: str) -> None:
        """Connect to a dashboard's base URL.

        Raises:
            ClusterError: nothing answers there.
        """
        use_token_if_there()
        try:
            self._client = ServeSubmissionClient(dashboard)
        except Exception as error:  # ConnectionError, RuntimeError or a version error, by Ray's mood
            raise ClusterError(f"no Serve REST API answers at {dashboard}: {str(error).splitlines()[0]}") from error

    def deploy(self, config: ServeConfig) -> None:
        """Ask for a configuration; the cluster converges in the background.

        Raises:
            ClusterError: it was refused.
        """
        for attempt in range(1, DEPLOY_ATTEMPTS + 1):
            try:
                self._client.deploy_applications(config.document)
            except Exception as error:  # RuntimeError with the server's traceback in it
                # While Serve itself starts on a busy machine the request may time out inside; it is safe to repeat.
                if attempt == DEPLOY_ATTEMPTS:
                    raise ClusterError(f"Serve refused the configuration: {_last_line(str(error))}") from error
                time.sleep(attempt)
            else:
                return

    def details(self) -> dict[str, Any]:
        """All that Serve says of its applications.

        Raises:
            ClusterError: it does not answer.
        """
        try:
            details: dict[str, Any] = self._client.get_serve_details()
        except Exception as error:
            raise ClusterError(f"Serve does not answer: {str(error).splitlines()[-1]}") from error
        return details

    def states(self) -> dict[str, tuple[str, str]]:
        """Status and message of every application; the message ends in what its deployments say."""
        states = {}
        for name, app in self.details().get("applications", {}).items():
            said = [app.get("message"), *(d.get("message") for d in app.get("deployments", {}).values())]
            states[name] = (app["status"], "\n".join(text for text in said if text))
        return states

    def entrances(self, config: ServeConfig) -> list[str]:
        """Base URLs at which the service may answer this machine: those of nodes, or loopback where it listens there.

        Raises:
            ClusterError: Serve does not answer.
        """
        if config.host in LOOPBACK:
            return [f"http://127.0.0.1:{config.port}"]
        proxies: dict[str, dict[str, Any]] = self.details().get("proxies", {})
        return [f"http://{proxy['node_ip']}:{config.port}" for proxy in proxies.values() if proxy.get("node_ip")]


def wait_until_ready(
    api: ServeApi, config: ServeConfig, timeout_s: float, tell: Callable[[dict[str, str]], None]
) -> str:
    """Wait until every application runs and the gateway says that each routed version embeds; returns its URL.

    Args:
        api: where to ask.
        config: what was asked for.
        timeout_s: how long to wait.
        tell: hears the status of each application whenever it was asked.

    Raises:
        ClusterError: an application failed, or time ran out.
    """
    wanted = [app["name"] for app in config.applications()]
    deadline = time.monotonic() + timeout_s
    states: dict[str, tuple[str, str]] = {}
    while time.monotonic() < deadline:
        states = api.states()
        tell({name: states.get(name, ("NOT_STARTED", ""))[0] for name in wanted})
        failed = [
            f"{name}: {_last_line(states[name][1])}" for name in wanted if states.get(name, ("",))[0] == "DEPLOY_FAILED"
        ]
        if failed:
            raise ClusterError("deployment failed: " + "; ".join(failed))
        if all(states.get(name, ("",))[0] == "RUNNING" for name in wanted):
            for url in api.entrances(config):
                if ready(url):
                    return url
        time.sleep(POLL_S)
    waiting = [f"{name} is {states.get(name, ('NOT_STARTED',))[0]}" for name in wanted]
    raise ClusterError(f"not ready within {timeout_s:g} s: {', '.join(waiting)}")


def _last_line(message: str) -> str:
    """What went wrong, without the traceback that Ray puts before it."""
    lines = [line.strip() for line in message.splitlines() if line.strip(" .\t")]
    named = [i for i, line in enumerate(lines) if ERROR_LINE.match(line)]
    return " ".join(lines[named[-1] : named[-1] + 3]) if named else (lines or ["no reason given"])[-1]


def ready(url: str) -> bool:
    """Whether the service at a base URL says that it is ready."""
    try:
        return httpx2.get(f"{url}/health/ready", timeout=10, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False

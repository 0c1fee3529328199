"""HAProxy as Serve runs it, in front of servers of the test's own, without Ray."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from ray.serve._private.common import RequestProtocol
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig, get_haproxy_binary
from ray.serve.config import HTTPOptions, gRPCOptions

from deployments.cluster.ports import free_port, port_taken
from deployments.cluster.serve_keys import GRPC_SERVICES
from deployments.serve_internals import haproxy_lines, settings
from deployments.serve_internals.haproxy_rules import Rules
from deployments.serve_internals.haproxy_sections import completed
from tests.integration.waiting import wait


class Front:
    """A running HAProxy."""

    def __init__(
        self,
        folder: Path,
        servers: Sequence[int],
        rules: Rules | None,
        connections: int = 4096,
        host: str = "127.0.0.1",
        grpc: Sequence[int] = (),
    ) -> None:
        """Write the configuration as Ray does; ``rules`` complete it. ``grpc`` are servers that speak that."""
        self.port, self.stats_port, self.metrics_port = free_port(), free_port(), free_port()
        self.grpc_port = free_port()
        self.file = folder / "haproxy.cfg"
        config = HAProxyConfig(
            socket_path=str(folder / "s"),
            server_state_base=str(folder),
            server_state_file=str(folder / "server-state"),
            maxconn=connections,
            stats_port=self.stats_port,
            metrics_port=self.metrics_port,
            timeout_client_s=int(settings.NODE_VARIABLES["RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S"]),
            retry_on=settings.NODE_VARIABLES["RAY_SERVE_HAPROXY_RETRY_ON"],
            balance_algorithm=haproxy_lines.VARIABLES[haproxy_lines.VARIABLE],
            metrics_enabled=False,
            http_options=HTTPOptions(host=host, port=self.port, keep_alive_timeout_s=65),
            grpc_options=gRPCOptions(port=self.grpc_port, grpc_servicer_functions=[GRPC_SERVICES] if grpc else []),
            has_received_routes=True,
            has_received_servers=True,
        )
        backend = BackendConfig(
            name="http-gateway",
            path_prefix="/",
            app_name="gateway",
            http_health_check_path="/health/live",
            health_check_inter="1s",
            servers=[ServerConfig(f"g{i}", "127.0.0.1", port) for i, port in enumerate(servers)],
        )
        backends = {"http-gateway": backend}
        if grpc:
            backends["grpc-gateway"] = BackendConfig(
                name="grpc-gateway",
                path_prefix="/",
                app_name="gateway",
                protocol=RequestProtocol.GRPC,
                health_check_inter="1s",
                servers=[ServerConfig(f"h{i}", "127.0.0.1", port) for i, port in enumerate(grpc)],
            )
        HAProxyApi(config, backends, str(self.file))._generate_config_file_internal()
        self.written = self.file.read_text()
        if rules is not None:
            self.file.write_text(completed(self.written, rules))

    @contextlib.contextmanager
    def running(self) -> Iterator[Front]:
        """Run it until the block ends."""
        command = [get_haproxy_binary(), "-db", "-f", str(self.file)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            try:
                wait("HAProxy", lambda: process.poll() is not None or port_taken(self.port))
                assert process.poll() is None, process.stderr and process.stderr.read().decode()
                yield self
            finally:
                process.kill()

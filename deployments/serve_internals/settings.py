"""The variables that Ray reads when its head and its worker nodes start; docs/operations.md lists them for clusters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from deployments.serve_internals import haproxy_lines, haproxy_process, haproxy_rules, lean_serve
from deployments.serve_internals.names import Seam

# Documented by Ray, or not Ray's: always set.
ALWAYS: Final = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",  # requests reach the gateway through HAProxy: 0.3 ms instead of 8 ms
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",  # gRPC between replicas, one event loop, buffered logs
    # Pictures exceed the 4 MiB that gRPC allows. Undocumented, but the mode above refuses them without it.
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(256 << 20),
    # Of what clients send over gRPC, which hands over whole messages alone: twice a body. Undocumented too; 2 GiB by default.
    "RAY_SERVE_GRPC_MAX_MESSAGE_SIZE": str(64 << 20),
    # HAProxy is started anew after three of them, and its socket is away while it reloads. With 1, one was ended during a change
    # of everything on a machine without a free core, most likely for that. 10 by default.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "2",
    # glibc's default of 8 heaps per core keeps holes in each: 12 swaps left a replica 22 % larger, with 2 heaps 3 %.
    # The engine alone pays 0 to 3 % for it.
    "MALLOC_ARENA_MAX": "2",
    # Ray's workers give way to everything else on the machine, at niceness 15: a service beside a build or a nightly job would
    # answer last. With 0 replicas are as nice as the Ray that starts them.
    "RAY_worker_niceness": "0",
    # Serve's handles speak gRPC to the nodes' own addresses, and gRPC would take them to the proxy that http_proxy names.
    "no_grpc_proxy": "localhost,0.0.0.0/0,::/0",
}
# Undocumented by Ray.
NODE_VARIABLES: Final = {
    # A gateway that dies takes requests with it. An embedding is idempotent: HAProxy asks another gateway, as far as the
    # request fits into its buffer of 64 KiB.
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
    "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "120",  # of a client that neither sends nor reads; 3600 by default
    # Serve's own counts of requests are made of a line that HAProxy writes for each, 45 µs of processor time a request.
    # embedserve_requests and HAProxy's port 9101 tell the same.
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
    # Every replica, and a gateway for every version, hands Serve's own figures to Ray ten times a second, whether there are any or
    # not. Ray passes them on every ten seconds.
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "5000",
    # Serve's controller looks ten times a second, and asks Ray three times for the nodes each time: 44 thousandths of a core, and 13
    # of Ray's control plane. Four times a second they are 26 and 9, and what Serve sees comes at most 0.15 s later.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.25",
    # To Serve a swap is an update. By default it gives an update up when three replicas for each wanted one failed, and
    # starts none any more until somebody deploys, even with no replica left. Ours refuse a bad artifact and keep the old
    # one, and code that cannot start still never replaces code that runs.
    "RAY_SERVE_STOP_FAILED_ROLLING_UPDATES": "0",
}
HTTP_HOOK: Final = {"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "deployments.serve_internals.http_hook:middlewares"}
VARIABLES: Final[Mapping[Seam, Mapping[str, str]]] = {
    "http_hook": HTTP_HOOK,
    "haproxy_lines": haproxy_lines.VARIABLES,
    "haproxy_process": haproxy_process.VARIABLES,
    "haproxy_rules": haproxy_rules.VARIABLES,
    "node_variables": NODE_VARIABLES,
}


def node_variables(on: Callable[[Seam], bool]) -> dict[str, str]:
    """What the environment of Ray's nodes must hold, with the seams that are on."""
    variables = dict(ALWAYS)
    for seam, values in VARIABLES.items():
        if on(seam):
            variables |= values
    return variables


def in_effect(seam: Seam, environment: Mapping[str, str]) -> bool:
    """Whether a node was started with the variables of a seam, whatever other values an operator chose for them."""
    if seam == "lean_serve":
        return lean_serve.in_effect(environment)
    if seam == "haproxy_lines":
        return "\n" in environment.get(haproxy_lines.VARIABLE, "")
    if seam == "haproxy_process":
        return Path(environment.get(haproxy_process.VARIABLE, "")).name == haproxy_process.PROGRAM
    if seam == "haproxy_rules":
        return in_effect("haproxy_process", environment) and bool(environment.get(haproxy_rules.SHARE_VARIABLE))
    return all(name in environment for name in VARIABLES[seam])


# Seams that Ray's nodes are started with. The place of `lean_serve` differs from machine to machine.
OF_NODES: Final[frozenset[Seam]] = frozenset({*VARIABLES, "lean_serve"})

# Where a Serve listens, as offsets into a free block of ports: by default every Serve on a machine takes the same.
# No switch: these only choose numbers, and two Serves that share them answer each other's requests.
PORT_OFFSETS: Final = {
    0: "DIRECT_INGRESS_MIN_HTTP",
    98: "DIRECT_INGRESS_MAX_HTTP",
    99: "DIRECT_INGRESS_MIN_GRPC",
    197: "DIRECT_INGRESS_MAX_GRPC",
    198: "FALLBACK_PROXY_HTTP",
    199: "FALLBACK_PROXY_GRPC",
}
# Ports that HAProxy would take from another Serve on this machine, which may be between two HAProxies just now.
HAPROXY_PORTS: Final = {"RAY_SERVE_HAPROXY_METRICS_PORT": 9101, "RAY_SERVE_HAPROXY_STATS_PORT": 8404}
HAPROXY_OFFSET: Final = 200  # of the first of them in that block
SWITCHES: Final = node_variables(lambda _: True)  # every variable, as clusters set them

"""What would be right, for what Ray, Serve, HAProxy and replicas say when they do not start."""

from __future__ import annotations

import re

from deployments.cluster import open_files

REMEDIES: tuple[tuple[str, str], ...] = (
    (r"Cannot raise FD limit|Too many open files", f"{open_files.remedy()}, or lower {open_files.VARIABLE}"),
    (
        r"cannot bind socket \(Address already in use\)|Address already in use",
        "end the program that listens there, or choose another port (--port, RAY_SERVE_HAPROXY_METRICS_PORT, "
        "RAY_SERVE_HAPROXY_STATS_PORT)",
    ),
    (r"Failed to bind to address|[Cc]annot bind socket|Cannot assign requested address", "choose another host or port"),
    (r"No space left on device|Disk quota exceeded", "free some space there"),
    (r"Read-only file system|Permission denied", "let this user write there, or name another folder"),
    (
        r"MemoryError|Cannot allocate memory|out of memory|OutOfMemory|OOM",
        "give it more memory, or serve fewer versions",
    ),
    (r"ModuleNotFoundError|No module named", "install what is missing on every node, in one version of Python"),
    (r"HAProxy: ends at once", "run the program that RAY_SERVE_HAPROXY_BINARY_PATH names, or unset that, to see why"),
    (
        r"Can(no)?t find HAProxy|HAProxy binary|haproxy.*not found",
        "install the project with its own requirements, which hold HAProxy",
    ),
    (
        r"to be scheduled|Resources required|cannot be scheduled",
        "have a node with the processors, cards, memory and labels that ray_actor_options ask for",
    ),
    (
        r"temporarily unavailable|has no replica|no replica",
        "replicas do not reach each other: a proxy in the environment (no_grpc_proxy), or a firewall between nodes",
    ),
    (r"model file .* does not exist|Artifact", "get the model on every node: `embedserve models pull`"),
    (r"nothing answers", "HAProxy may not run: its log, proxy_*.log, says why"),
)


def with_remedy(said: str) -> str:
    """A complaint, and what helps against it where that is known."""
    remedy = next((text for pattern, text in REMEDIES if re.search(pattern, said)), None)
    return f"{said}; {remedy}" if remedy and remedy not in said else said

"""The names of the seams; docs/serve_internals.md says what each is and gains."""

from __future__ import annotations

from typing import Literal

Seam = Literal[
    "http_hook",
    "http_shortcut",
    "single_write",
    "cut_off",
    "slow_heads",
    "long_bodies",
    "connections",
    "haproxy_lines",
    "haproxy_process",
    "haproxy_rules",
    "node_variables",
    "replica_options",
    "log_folder",
    "local_rays",
    "lean_serve",
    "lean_node",
    "lean_data",
    "cluster_store",
]

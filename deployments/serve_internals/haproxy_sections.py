"""The configuration that Ray writes for HAProxy, with the rules of ``haproxy_rules`` in its sections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from deployments.serve_internals.haproxy_answers import nowhere_lines
from deployments.serve_internals.haproxy_rules import (
    ANSWERING,
    CLIENTS,
    WHOLE,
    Rules,
    backend_lines,
    defaults_lines,
    frontend_lines,
    grpc_lines,
)

MARK: Final = "# completed by embedserve\n"
# HAProxy answers what exceeds its own limits in HTML, so that they are above ours. A buffer costs the memory that is used of it.
BUFFER_BYTES: Final = 65536
PARSED_HEADERS: Final = 1024
# Where Ray sends a line for each request unless RAY_SERVE_HAPROXY_LOG_TARGET names another place: nobody is there by default. Lines
# of requests that went well take 4.5 µs of HAProxy's 28 µs each, and the gateways' access logs have them.
NOBODY: Final = "    log 127.0.0.1:514 local0 info\n"
# Of an answer that nobody reads, the system keeps as much as it is allowed to, by default 4 MB a connection; Linux doubles these.
CLIENT_BYTES: Final = 131072  # 2.6 MB/s to a client 100 ms away
SERVER_BYTES: Final = 65536


def completed(written: str, rules: Rules) -> str:
    """The configuration that Ray wrote, with the rules."""
    found = re.search(r"^ *default-server maxconn (\d+) *\n", written, re.MULTILINE)
    places = int(found[1]) if found else None
    sections = list(_sections(written.replace(found[0], "", 1) if found else written))
    host = next((_host(section) for section in sections if section[0] == "frontend http_frontend"), "127.0.0.1")
    connections = int(_setting(sections, "global", "maxconn") or 0)
    lines: list[str] = []
    for section in sections:
        lines += _completed_section(section, rules, places, connections, host)
        if section[0] == "defaults" and NOBODY in written:
            lines.append("    option dontlog-normal")
    for name, type_ in ((WHOLE, "integer size 64"), (ANSWERING, "integer size 64"), (CLIENTS, "ipv6 size 100k")):
        lines += [f"backend {name}", f"    stick-table type {type_} expire 1h store conn_cur"]
    return MARK + "\n".join(lines) + "\n"


def _sections(text: str) -> Iterator[list[str]]:
    """The lines of each section, the first of which names it."""
    section: list[str] = []
    for line in text.splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            if section:
                yield section
            section = []
        section.append(line)
    if section:
        yield section


def _setting(sections: list[list[str]], name: str, keyword: str) -> str | None:
    lines = next((section for section in sections if section[0] == name), [])
    return next((line.split(None, 1)[1] for line in lines if line.split(None, 1)[:1] == [keyword]), None)


def _host(frontend: list[str]) -> str:
    bind = next(line.split()[1] for line in frontend if line.strip().startswith("bind "))
    return bind.rpartition(":")[0]


def _completed_section(section: list[str], rules: Rules, places: int | None, connections: int, host: str) -> list[str]:
    name, *lines = section
    if name == "global":
        return [name, *_global(lines)]
    if name == "defaults":
        return [name, *lines, *defaults_lines()]
    if name == "frontend prometheus":
        return [name, *(re.sub(r"^( *bind) :", rf"\1 {host}:", line) for line in lines)]
    if name == "listen stats":
        return [name, *(re.sub(r"^( *bind) \*:", r"\1 127.0.0.1:", line) for line in lines)]
    if name == "frontend http_frontend":
        at = next(i for i, line in enumerate(lines) if line.strip().startswith("bind ")) + 1
        named = any("unique-id-format" in line for line in lines)
        return [name, *lines[:at], *frontend_lines(rules, connections, named=named), *lines[at:]]
    if name == "frontend grpc_frontend":
        at = next(i for i, line in enumerate(lines) if line.strip().startswith("bind ")) + 1
        return [name, *lines[:at], *grpc_lines(frontend=True), *lines[at:]]
    if name == "backend default_backend":
        return [name, *nowhere_lines(), *lines]
    if name.startswith("backend ") and "proto h2" in str(lines):
        return [name, *grpc_lines(frontend=False), *lines]
    if places is not None and any(line.strip().startswith("server ") for line in lines):
        return [name, *backend_lines(places, rules), *lines]
    return section


def _global(lines: list[str]) -> list[str]:
    kept = [re.sub(r"^( *stats socket .*) mode 666 ", r"\1 mode 600 ", line) for line in lines]
    kept = [line for line in kept if not line.strip().startswith("tune.bufsize ")]
    given = next((int(line.split()[1]) for line in lines if line.strip().startswith("tune.bufsize ")), 0)
    return [
        *kept,
        f"    tune.bufsize {max(given, BUFFER_BYTES)}",
        f"    tune.http.maxhdr {PARSED_HEADERS}",
        f"    tune.sndbuf.client {CLIENT_BYTES}",
        f"    tune.rcvbuf.server {SERVER_BYTES}",
    ]

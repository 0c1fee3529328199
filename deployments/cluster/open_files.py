"""How many files processes may hold open here, and how many connections HAProxy can hold with that."""

from __future__ import annotations

import resource
from collections.abc import Mapping

from models.errors import ConfigError

VARIABLE = "RAY_SERVE_HAPROXY_MAXCONN"
CONNECTIONS = 4096  # Ray's default of that variable
# HAProxy opens two files for a connection and half a pipe for splicing it, and ends where the limit does not allow for that.
FILES_FOR_TWO = 5
OTHER_FILES = 200  # listeners, checks of gateways, threads: 38 with one gateway
LEAST = 1024  # with less, Ray's own processes run out of them
UNLIMITED = 1 << 30


def hard_limit() -> int:
    """How many files this process and those that it starts may hold open at most; Ray raises the soft limit by itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNLIMITED if hard == resource.RLIM_INFINITY else hard


def fitting(hard: int, environment: Mapping[str, str]) -> dict[str, str]:
    """The variable that keeps HAProxy's connections within a hard limit; none where Ray's default fits.

    Raises:
        ConfigError: the limit is too low for a service, or for what the environment asks of HAProxy.
    """
    if hard < LEAST:
        raise ConfigError(f"{hard} open files are allowed here, and a service needs {LEAST} at least; {remedy()}")
    fits = (hard - OTHER_FILES) * 2 // FILES_FOR_TWO
    asked = environment.get(VARIABLE, "")
    if not asked:
        return {VARIABLE: str(fits)} if fits < CONNECTIONS else {}
    if asked.isascii() and asked.isdigit() and len(asked) < 10 and int(asked) > fits:
        raise ConfigError(
            f"{VARIABLE}={asked} needs more than the {hard} open files allowed here; {remedy()}, or {fits}"
        )
    return {}


def remedy() -> str:
    """How to have more."""
    return "raise the hard limit on open files (`ulimit -Hn 65536`, LimitNOFILE= of a systemd unit, --ulimit nofile= of docker)"

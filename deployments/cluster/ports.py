"""TCP ports of this machine: which are taken, and which are free."""

from __future__ import annotations

import random
import socket
from pathlib import Path

BLOCKS = (20000, 32000, 202)  # below the range that Linux gives to outgoing connections
LISTEN = "0A"  # as /proc/net/tcp writes the state


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

    Every Serve takes the same ports by default, and its fallback proxies even share one (SO_REUSEPORT). With two Serves on
    one machine, HAProxy of the first then sends requests to the second whenever it takes its own replicas for dead.
    """
    starts = list(range(*BLOCKS))
    random.shuffle(starts)
    taken = listening_ports()
    return next(start for start in starts if taken.isdisjoint(range(start, start + BLOCKS[2])))


def listening_ports() -> set[int]:
    """Local TCP ports in use."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in _table(name)]
    return {int(fields[1].rpartition(":")[2], 16) for fields in lines if fields[3] == LISTEN}


def _table(name: str) -> list[str]:
    try:
        return Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]
    except OSError:  # no IPv6, or no Linux
        return []

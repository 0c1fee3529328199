"""TCP ports of this machine: which are taken, and which are free."""

from __future__ import annotations

import contextlib
import pwd
import random
import socket
from dataclasses import dataclass
from pathlib import Path

from deployments.cluster.processes import open_files

BLOCKS = (20000, 32000, 202)  # below the range that Linux gives to outgoing connections
# For single ports, below that range too: between being found and being listened on, a port within it went to a server of Ray's, and
# HAProxy could not have it. Ray's workers of a cluster take theirs from 10,002 on.
SINGLE = (12000, 20000)
ATTEMPTS = 1000
LISTEN = "0A"  # as /proc/net/tcp writes the state
COMMAND = 60  # characters of a command line that identify it


def port_taken(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def free_port() -> int:
    """A port that nothing listened on a moment ago.

    Raises:
        OSError: all that were tried are taken.
    """
    for _ in range(ATTEMPTS):
        port = random.randrange(*SINGLE)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no port from {SINGLE[0]} to {SINGLE[1]} is free")


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
    return {listener.port for listener in listeners()}


@dataclass(frozen=True)
class Listener:
    """A listening socket."""

    port: int
    uid: int  # of the user whose socket it is
    inode: str


def listeners() -> list[Listener]:
    """All listening TCP sockets of this machine."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in _table(name)]
    return [
        Listener(int(fields[1].rpartition(":")[2], 16), int(fields[7]), fields[9])
        for fields in lines
        if fields[3] == LISTEN
    ]


def holder(port: int) -> str:
    """Who listens on a port, in words: its name and process id where this user may see them, its user otherwise."""
    found = [listener for listener in listeners() if listener.port == port]
    wanted = {f"socket:[{listener.inode}]" for listener in found}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if wanted & open_files(int(process.name)):
                return f"{_command(process)} (pid {process.name})"
    if not found:
        return "another program"  # in another network, such as a container's, or gone by now
    try:
        user = pwd.getpwuid(found[0].uid).pw_name
    except KeyError:
        user = f"uid {found[0].uid}"
    return f"a program of the user {user}"


def _command(process: Path) -> str:
    words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    line = " ".join([Path(words[0]).name, *words[1:]]).strip() or (process / "comm").read_text().strip()
    return line if len(line) <= COMMAND else line[: COMMAND - 1] + "…"


def _table(name: str) -> list[str]:
    try:
        return Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]
    except OSError:  # no IPv6, or no Linux
        return []

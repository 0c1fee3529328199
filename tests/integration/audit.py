"""What a running service shows to others: ports of every address, and files and sockets that another user reaches."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from deployments.cluster.processes import open_files

LOOPBACK = (
    "0100007F",
    "00000000000000000000000001000000",
    "0000000000000000FFFF00000100007F",
)  # as /proc/net writes it
LISTEN = "0A"
OTHERS = stat.S_IRWXG | stat.S_IRWXO
RAY_PROCESS = "deployments.cluster.ray_process"  # drives Ray, and so has a worker's port
# Processes of Ray that listen on every address, behind Ray's token: SECURITY.md says so. HAProxy's metrics and statistics too.
RAYS_OWN = (
    "gcs_server",
    "raylet",
    "ray::",
    "ray-dashboard",
    "dashboard.py",
    "monitor.py",
    "agent.py",
    "ray.util",
    RAY_PROCESS,
)


def name(pid: int) -> str:
    """A process' title, or its program; of a Python its script or module."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        if words[0].startswith(("ray::", "ray-dashboard")):
            return words[0]
        program = Path(words[0]).name
        script = [word for word in words[1:] if not word.startswith("-")]
        return Path(script[0]).name if program.startswith("python") and script else program
    return ""


def sockets(pid: int) -> set[str]:
    """Inodes of a process' sockets."""
    return {file.removeprefix("socket:[").removesuffix("]") for file in open_files(pid)}


def _lines(table: Path) -> list[str]:
    """What stands below a table's head; nothing of a process that has ended meanwhile."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return table.read_text().splitlines()[1:]
    return []


def open_ports(pids: Collection[int]) -> dict[int, str]:
    """Ports that the processes have on other addresses than loopback, and who."""
    found = {}
    for pid in pids:
        own = sockets(pid)
        for table in ("tcp", "tcp6"):
            for fields in map(str.split, _lines(Path(f"/proc/{pid}/net/{table}"))):
                address, port = fields[1].rsplit(":", 1)
                if fields[3] == LISTEN and fields[9] in own and address not in LOOPBACK:
                    found[int(port, 16)] = name(pid)
    return found


def shown_to_others(pids: Collection[int]) -> set[str]:
    """Files that the processes write, and sockets that they have, which another user of the machine may read, write or call."""
    return {
        path
        for pid in pids
        for path in (*written(pid), *bound(pid))
        if reached_by_others(Path(f"/proc/{pid}/root"), path)
    }


def written(pid: int) -> Iterator[str]:
    """Paths of files that a process has open for writing."""
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                path = os.readlink(link)
                flags = int(Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().split("flags:")[1].split()[0], 8)
                if (
                    path.startswith("/")
                    and not path.startswith(("/dev/", "/proc/", "/memfd:"))
                    and flags & os.O_ACCMODE
                ):
                    yield path


def bound(pid: int) -> Iterator[str]:
    """Paths of a process' Unix sockets."""
    own = sockets(pid)
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
            fields = line.split()
            if len(fields) > 7 and fields[6] in own and fields[7].startswith("/"):
                yield fields[7]


def reached_by_others(root: Path, path: str) -> bool:
    """Whether a file's own permissions and those of every folder above let in somebody else.

    Args:
        root: of the process: its mounts may be its own.
        path: as it sees it.
    """
    file = root / path.lstrip("/")
    try:
        if not file.stat().st_mode & OTHERS:
            return False
        folders = [parent for parent in file.parents if parent.is_relative_to(root)]
        return all(folder.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH) for folder in folders)
    except OSError:
        return False  # gone: nobody reaches it by this name any more


def foreign(ports: dict[int, str]) -> dict[int, str]:
    """Those of the ports whose process is none that SECURITY.md names."""
    return {port: who for port, who in ports.items() if not who.startswith(RAYS_OWN)}

"""What the serving processes hold: memory, open files, waiting work."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.integration.service import Service, children

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
SERVING = ("ray::ServeReplica", "ray::ServeController", "ray::HAProxyManager", "ray::ProxyActor", "haproxy -db")
QUEUE = re.compile(r"^ray_embedserve_queue_items\{.*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Footprint:
    """Of one process."""

    title: str
    resident_mb: float
    files: int


def serving(service: Service) -> dict[int, str]:
    """The processes that serve, by id; a restart shows as another id."""
    return {pid: title for pid, title in children(service).items() if any(name in title for name in SERVING)}


def footprints(service: Service) -> dict[int, Footprint]:
    """Of every process that serves."""
    return {pid: _footprint(pid, title) for pid, title in serving(service).items()}


def _footprint(pid: int, title: str) -> Footprint:
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB
    return Footprint(_name(title), resident, len(os.listdir(f"/proc/{pid}/fd")))


def _name(title: str) -> str:
    """Without the method that Ray shows while an actor is in it, or a program's folder and arguments."""
    return title.partition(".")[0].strip() if title.startswith("ray::") else Path(title.split(maxsplit=1)[0]).name


def grown(
    before: Mapping[int, Footprint], after: Mapping[int, Footprint], part: float, files: int, megabytes: float
) -> list[str]:
    """Which processes are gone, or hold more than ``part`` more than before, and more than the given floors."""
    found = []
    for pid, was in before.items():
        now = after.get(pid)
        if now is None:
            found.append(f"{was.title} is gone")
            continue
        if now.files > was.files * (1 + part) and now.files - was.files > files:
            found.append(f"{was.title}: {was.files} files, now {now.files}")
        if now.resident_mb > was.resident_mb * (1 + part) and now.resident_mb - was.resident_mb > megabytes:
            found.append(f"{was.title}: {was.resident_mb:.1f} MB, now {now.resident_mb:.1f}")
    return found


def idle(client: httpx2.Client) -> bool:
    """Whether the exporters say that no input waits in any gateway."""
    try:
        queues = QUEUE.findall(client.get("/metrics").text)
    except httpx2.TimeoutException:
        return False
    return bool(queues) and not any(map(float, queues))

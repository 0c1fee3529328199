"""The processes without which a local Ray is none: which of them has ended, how, and where its log lies.

As the guardian that looks at them, it loads nothing but Python's own modules.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from deployments.cluster.processes import descendants, has_ended, how_it_ended


@dataclass(frozen=True)
class Part:
    """One of Ray's processes."""

    name: str  # of its program
    is_what: str
    log: str
    vital: bool = True  # nothing is served without it


PARTS = (
    Part("gcs_server", "Ray's control plane", "gcs_server.out"),
    Part("raylet", "Ray's node", "raylet.out"),
    Part("dashboard.py", "Ray's dashboard", "dashboard.log", vital=False),
)


@dataclass(frozen=True)
class Loss:
    """A part that has ended."""

    part: Part
    said: str


class RayParts:
    """The parts below this process, found as they are started."""

    def __init__(self, logs: Path) -> None:
        """Nothing is looked for yet; the parts write their logs to that folder."""
        self._logs = logs
        self._found: dict[Part, int] = {}
        self._lost: set[Part] = set()

    def lost(self) -> list[Loss]:
        """The parts that ended since the last look, those first that others cannot be without."""
        if len(self._found) < len(PARTS):
            self._look()
        gone = [(part, pid) for part, pid in self._found.items() if part not in self._lost and has_ended(pid)]
        self._lost |= {part for part, _ in gone}
        return [
            Loss(part, f"{part.is_what} ({part.name}) {how_it_ended(pid)}; its log is {self._logs / part.log}")
            for part, pid in sorted(gone, key=lambda one: PARTS.index(one[0]))
        ]

    def _look(self) -> None:
        for pid in descendants(os.getpid()) - set(self._found.values()):
            programs = _programs(pid)
            for part in PARTS:
                if part.name in programs:
                    self._found.setdefault(part, pid)


def _programs(pid: int) -> set[str]:
    """What a process runs, by its own name and by the files that its command names; an ended one has only the former."""
    process = Path(f"/proc/{pid}")
    found: set[str] = set()
    with contextlib.suppress(OSError):
        found.add((process / "comm").read_text(encoding="utf-8").strip())
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        found |= {Path(word).name for word in words[:4] if word.startswith("/")}
    return found

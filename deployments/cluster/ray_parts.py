"""The processes without which a local Ray is none: which of them has ended, how, and where its log lies.

As the guardian that looks at them, it loads nothing but Python's own modules.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from deployments.cluster.processes import descendants, has_ended, how_it_ended


@dataclass(frozen=True)
class Part:
    """One of Ray's processes."""

    program: str  # the end of its path
    is_what: str
    log: str
    vital: bool = True  # nothing is served without it


PARTS = (
    Part("gcs_server", "Ray's control plane", "gcs_server.out"),
    Part("raylet", "Ray's node", "raylet.out"),  # it ends with either of its agents, and its log says with which
    Part("dashboard/dashboard.py", "Ray's dashboard", "dashboard.log", vital=False),
)


@dataclass(frozen=True)
class Loss:
    """A part that has ended."""

    part: Part
    said: str


class RayParts:
    """The parts below a process, found as they are started."""

    def __init__(self, logs: Path, root: int) -> None:
        """Nothing is looked for yet.

        Args:
            logs: the folder that the parts write their logs to.
            root: the process below which they are.
        """
        self._logs = logs
        self._root = root
        self.found: dict[Part, int] = {}
        self._lost: set[Part] = set()

    def lost(self) -> list[Loss]:
        """The parts that ended since the last look."""
        if len(self.found) < len(PARTS):
            self._look()
        gone = [(part, pid) for part, pid in self.found.items() if part not in self._lost and has_ended(pid)]
        self._lost |= {part for part, _ in gone}
        return [
            Loss(part, f"{part.is_what} ({part.program}) {how_it_ended(pid)}; its log is {self._logs / part.log}")
            for part, pid in gone
        ]

    def _look(self) -> None:
        for pid in descendants(self._root) - set(self.found.values()):
            programs = _programs(pid)
            for part in PARTS:
                if any(f"/{program}".endswith(f"/{part.program}") for program in programs):
                    self.found.setdefault(part, pid)


def _programs(pid: int) -> list[str]:
    """What a process runs, by its own name and by the paths that its command names; an ended one has only the former."""
    process = Path(f"/proc/{pid}")
    found: list[str] = []
    with contextlib.suppress(OSError):
        found.append((process / "comm").read_text(encoding="utf-8").strip())
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        found += [word for word in words[:4] if word.startswith("/")]
    return found

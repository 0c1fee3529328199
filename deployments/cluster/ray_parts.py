"""The processes without which a local Ray is none: which of them has ended, how, and where its log lies.

As the guardian that looks at them, it loads nothing but Python's own modules.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deployments.cluster.processes import descendants, has_ended, how_it_ended

NAME = 15  # characters that Linux keeps of a process' name


@dataclass(frozen=True)
class Part:
    """One of Ray's processes."""

    program: str  # the end of its path, or its title
    is_what: str
    log: str
    vital: bool = True  # nothing is served without it; a node ends with its agents


PARTS = (
    Part("gcs_server", "Ray's control plane", "gcs_server.out"),
    Part("raylet", "Ray's node", "raylet.out"),
    Part("ray::DashboardAgent", "the agent of Ray's node", "dashboard_agent.log"),
    Part("ray::RuntimeEnvAgent", "the agent of Ray's node for environments", "runtime_env_agent.log"),
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
            name, paths = _program(pid)
            for part in PARTS:
                if name == part.program[:NAME] or any(path.endswith(f"/{part.program}") for path in paths):
                    self.found.setdefault(part, pid)


def _program(pid: int) -> tuple[str, list[str]]:
    """What a process runs: its name, and the paths in the first words of its command, which an ended one has no more."""
    process = Path(f"/proc/{pid}")
    try:
        name = (process / "comm").read_text(encoding="utf-8").strip()
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "", []
    return name, [word for word in words[:4] if word.startswith("/")]

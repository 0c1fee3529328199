"""What Serve, HAProxy and the replicas write into their logs while a service starts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from deployments.cluster.last_line import last_line

LEVELS = ("ERROR", "CRITICAL")
AT_ONCE = 1 << 20  # bytes of a file in one look; a replica that fails in a loop writes faster
ALERT = re.compile(r"\[ALERT\]\s*\(\d+\)\s*:\s*(?:\[\S*haproxy\.main\(\)\]\s*)?(.*)")
CRASH = re.compile(r"HAProxy crashed during startup: (exit code -?\d+)")
FATAL = re.compile(r"^(Fatal Python error: .*|[\w.]*(Error|Exception): .*)$", re.MULTILINE)


@dataclass
class StartLog:
    """The logs of a Ray on this machine, read as they grow."""

    folder: Path  # of a session's logs; it need not exist yet
    _read: dict[Path, int] = field(default_factory=dict)

    def complaints(self) -> list[str]:
        """What was written since the last look that says why something does not start."""
        found: dict[str, None] = {}
        for path in sorted(self.folder.glob("serve/*.log")):
            for line in self._new(path).splitlines():
                found.update(dict.fromkeys(_of_record(line)))
        for path in sorted(self.folder.glob("worker-*.err")):
            found.update(dict.fromkeys(f"a replica: {said[0]}" for said in FATAL.findall(self._new(path))))
        return list(found)

    def _new(self, path: Path) -> str:
        """The whole lines that a file has got since the last look, the last ones where they are many."""
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                start = max(self._read.get(path, 0), size - AT_ONCE)
                file.seek(start)
                data = file.read(size - start)
        except OSError:  # rotated away just now
            return ""
        whole = data[: data.rfind(b"\n") + 1]
        self._read[path] = start + len(whole)
        return whole.decode(errors="replace")


def _of_record(line: str) -> Iterator[str]:
    """The complaint in a line of a Serve log, which is JSON."""
    if not any(f'"{level}"' in line for level in LEVELS):
        return
    try:
        record = json.loads(line)
    except ValueError:
        return
    if isinstance(record, dict) and record.get("levelname") in LEVELS:
        text = record.get("exc_text") or record.get("message") or ""
        alerts = ALERT.findall(text)
        if ended := CRASH.search(text):
            yield f"HAProxy: ends at once, {ended[1]}"
        elif alerts:
            yield f"HAProxy: {' '.join(dict.fromkeys(alerts))}"
        else:
            yield f"{record.get('deployment') or record.get('component_name') or 'Serve'}: {last_line(text)}"

"""The real service as a subprocess: real Ray, real HAProxy, real weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from deployments.cluster.ports import free_port

START_S = 240
STOP_S = 60


class Service:
    """`embedserve up` on a free port, beside whatever else runs on this machine."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        command = [str(Path(sys.executable).with_name("embedserve")), "up", "--beside", "--port", str(self.port)]
        environment = {**os.environ, "COLUMNS": "200"}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, *arguments], stdout=output, stderr=output, env=environment, start_new_session=True
            )

    def wait(self) -> Service:
        """Wait until it says that it is ready."""
        deadline = time.monotonic() + START_S
        while "is ready on" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)
        return self

    def stop(self) -> int:
        """Press Ctrl-C and return the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_S)


def children(service: Service) -> dict[int, str]:
    """Process ids and titles below this service's own process."""
    parents: dict[int, int] = {}
    titles: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                titles[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
    below = {service.process.pid}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return {pid: titles[pid] for pid in below if pid in titles}

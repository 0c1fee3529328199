"""The real service as a subprocess: real Ray, real HAProxy, real weights."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deployments.cluster.entrances import unready
from deployments.cluster.ports import free_port, listening_ports
from deployments.cluster.processes import has_ended
from deployments.cluster.serve_api import ClusterError, ServeApi
from deployments.cluster.serve_file import ServeConfig
from tests.integration.waiting import wait

START_S = 240
STOP_S = 60
# The environment of services under test, so that tests wait for less.
QUICK = {
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5",  # of a replica that is told to go; 30 by default
    "RAY_metrics_report_interval_ms": "2000",  # 10000 by default
    "RAY_worker_niceness": "0",  # 15 by default: beside other tests replicas would hardly get a turn
}


class Service:
    """`embedserve up` on a free port, beside whatever else runs on this machine."""

    def __init__(
        self, log: Path, *arguments: str, environment: Mapping[str, str] | None = None, within: Sequence[str] = ()
    ) -> None:
        """Start it; ``within`` is the begin of a command line that runs another program in its own place."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._api: ServeApi | None = None
        self._ready = log.with_name(log.name + ".ready")
        self._ready.unlink(missing_ok=True)  # of an earlier one that was killed
        command = [
            *within,
            str(Path(sys.executable).with_name("embedserve")),
            "up",
            "--beside",
            "--port",
            str(self.port),
        ]
        command += ["--ready-file", str(self._ready)]
        self.environment = {**os.environ, "COLUMNS": "200", **(environment or {})}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, *arguments], stdout=output, stderr=output, env=self.environment, start_new_session=True
            )

    def wait(self) -> Service:
        """Wait until it says that it is ready."""
        deadline = time.monotonic() + START_S
        while not self._ready.exists():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)
        return self

    @property
    def dashboard(self) -> str:
        """Where Serve's REST API answers."""
        found: str = json.loads(self._ready.read_text())["dashboard"]
        return found

    def api(self) -> ServeApi:
        """Serve's REST API, on connections that stay: who waits for a condition asks it often."""
        if self._api is None:
            self._api = ServeApi(self.dashboard)
        return self._api

    def deploy(self, document: dict[str, Any]) -> None:
        """Ask for a configuration, as `serve deploy` does; the service gets there by itself."""
        asked = copy.deepcopy(document)
        asked["http_options"]["port"] = self.port
        self.api().deploy(ServeConfig(asked))

    def run(self, document: dict[str, Any]) -> None:
        """Ask for a configuration, and wait until that and nothing else runs and the service is ready."""
        self.deploy(document)
        wanted = {app["name"]: "RUNNING" for app in document["applications"]}

        def runs() -> bool:
            try:
                states = self.api().states()
            except ClusterError:
                return False  # busy: it is asked again
            return {name: status for name, (status, _) in states.items()} == wanted and unready(self.url) is None

        wait(f"{wanted} to run", runs)

    def stop(self) -> int:
        """Press Ctrl-C and return the exit status; nothing that it started may be left."""
        below = set(children(self)) - {self.process.pid}
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(STOP_S)
        left = [pid for pid in below if not has_ended(pid)]
        assert not left, f"left behind: {left}"
        assert self.port not in listening_ports()
        return status


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

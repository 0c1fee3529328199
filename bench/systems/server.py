"""A system under test as processes of its own: started, paused while others are measured, ended by process id."""

from __future__ import annotations

import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from bench.systems.processes import Mark

START_S = 300
STOP_S = 60
POLL_S = 0.2
SETTLE_S = 0.3
SETTLE_MOST_S = 20
IDLE_CORES = 0.35  # an idle Ray takes a tenth of a core, more while it wakes


class ServerError(RuntimeError):
    """A system did not start or does not answer."""


class Server:
    """One server process and whatever it starts."""

    def __init__(
        self,
        name: str,
        command: list[str],
        port: int,
        log: Path,
        environment: dict[str, str | None],
        folder: Path | None = None,
    ) -> None:
        """Start it.

        Args:
            name: for messages.
            command: program and arguments.
            port: where it will listen on loopback.
            log: the file that gets its output.
            environment: variables to set, or to remove where the value is None.
            folder: its working directory; this process's when left out.
        """
        self.name, self.port, self.log = name, port, log
        self.statistics_port: int | None = None  # of its HAProxy, if it has one
        self.url = f"http://127.0.0.1:{port}"
        self.mark = Mark()
        variables = {**self.mark.environment(), **{k: v for k, v in environment.items() if v is not None}}
        for gone in (k for k, v in environment.items() if v is None):
            variables.pop(gone, None)
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=variables, cwd=folder, start_new_session=True
            )

    def wait(self, path: str, body: bytes, content_type: str, seconds: float = START_S) -> None:
        """Wait until the server answers a request with 200.

        Raises:
            ServerError: it ended, or time ran out.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerError(f"{self.name} ended: {self._tail()}")
            if self.post(path, body, content_type) is not None:
                return
            time.sleep(POLL_S)
        raise ServerError(f"{self.name} did not answer within {seconds:g} s: {self._tail()}")

    def post(self, path: str, body: bytes, content_type: str, timeout_s: float = 30) -> bytes | None:
        """The body of one answer, or None if the server did not answer with 2xx."""
        request = urllib.request.Request(self.url + path, body, {"content-type": content_type})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=timeout_s) as answer:
                data: bytes = answer.read()
                return data
        except (urllib.error.URLError, OSError):
            return None

    def get(self, path: str) -> bytes:
        """The body of an answer.

        Raises:
            OSError: there is none.
        """
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + path, timeout=30) as answer:
            data: bytes = answer.read()
            return data

    def requests_counted(self) -> int | None:
        """How many requests the server's HAProxy has counted; None for a server without one."""
        if self.statistics_port is None:
            return None
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.statistics_port}/metrics", timeout=10) as answer:
                text: str = answer.read().decode()
        except OSError:
            return None
        return requests_in(text)

    def freeze(self) -> None:
        """Stop all its processes, so that they take no processor time."""
        self.mark.freeze()

    def settle(self) -> None:
        """Wait until it is idle: not every server drops the requests of clients that hang up."""
        deadline = time.monotonic() + SETTLE_MOST_S
        while time.monotonic() < deadline:
            before = sum(self.mark.cpu_seconds().values())
            time.sleep(SETTLE_S)
            if sum(self.mark.cpu_seconds().values()) - before < SETTLE_S * IDLE_CORES:
                return

    def thaw(self) -> None:
        """Let its processes run again."""
        self.mark.thaw()
        time.sleep(SETTLE_S)

    def stop(self) -> int:
        """Send SIGINT, as Ctrl-C does, and end whatever stays behind.

        Returns:
            How many processes had to be killed.
        """
        self.mark.thaw()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.mark.end()

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-1500:]


def requests_in(exposition: str) -> int | None:
    """Requests that HAProxy's frontends counted, from its Prometheus text; None where it has no such line."""
    lines = [line for line in exposition.splitlines() if line.startswith("haproxy_frontend_http_requests_total")]
    traffic = [line for line in lines if "stats" not in line and "prometheus" not in line]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in traffic) if traffic else None

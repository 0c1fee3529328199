"""A Redis or Valkey server of a test's own: a temporary folder, a Unix socket and a free loopback port."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from deployments.cluster.ports import free_port

BINARIES = ("valkey-server", "redis-server")
START_S = 20


class RedisServer:
    """Starts, stops and pauses one server, whose contents do not outlive it."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="shared-cache-")  # short: a socket's path ends at 107 characters
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"unix://{self._folder}/socket"
        self.tcp_url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis.from_url(self.url, socket_timeout=START_S)

    def start(self, *addresses: str) -> None:
        """Start it on loopback and ``addresses``; skips the test where no such server is installed."""
        found = [path for path in map(shutil.which, BINARIES) if path]
        if not found:
            pytest.skip(f"the shared cache needs a real server: none of {', '.join(BINARIES)} is installed")
        options = [
            found[0],
            "--bind",
            "127.0.0.1",
            *addresses,
            "--protected-mode",
            "no",
            "--port",
            str(self.port),
            "--unixsocket",
            f"{self._folder}/socket",
        ]
        options += ["--dir", self._folder, "--save", "", "--appendonly", "no"]
        log = Path(self._folder, "log")
        with log.open("ab") as output:
            self._process = subprocess.Popen(options, stdout=output, stderr=output)
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.client.ping()
                return
            except redis.ConnectionError:
                assert self._process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self.resume()
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """It still accepts connections, as far as the kernel does that for it, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def fill(self) -> None:
        """From now on every write is refused for want of memory."""
        self.client.config_set("maxmemory-policy", "noeviction")
        self.client.config_set("maxmemory", "1")

    def free(self) -> None:
        self.client.config_set("maxmemory", "0")

    def remove(self) -> None:
        self.stop()
        self.client.close()
        shutil.rmtree(self._folder)


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A running server; skips the test where none is installed."""
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()

"""The machine's own resolver, in processes that end with whoever waits for them.

``getaddrinfo`` cannot be stopped: with a name server that is silent it holds its thread for half a minute, long after the fetch
was given up. A process can be killed; it costs 2 ms.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

THREADS = 64  # each waits for one process; fetches, and so lookups, are `fetch.at_once` at most
LONGEST_S = 60.0  # of a lookup that nobody ends, as the longest `fetch.timeout_s`
SETTINGS = (
    "RES_OPTIONS",
    "LOCALDOMAIN",
    "HOSTALIASES",
)  # of the environment, which resolvers read; it holds secrets too
# What `getent ahosts` prints, on machines without it.
FALLBACK = """
import socket, sys
for row in socket.getaddrinfo(sys.argv[2], None, type=socket.SOCK_STREAM): print(row[4][0])
"""


def command() -> tuple[str, ...]:
    """The program that resolves the name which is put behind it, and prints an address at the beginning of each line."""
    found = shutil.which("getent")
    return (found, "ahosts", "--") if found else (sys.executable, "-I", "-S", "-c", FALLBACK, "--")


class SystemResolver:
    """Resolves names as the machine does: its hosts file, its name servers, in the order that it is configured for."""

    def __init__(self, program: Sequence[str] | None = None) -> None:
        """Resolve with ``program``, by default ``command()``; nothing is started before a name is asked for."""
        self._program = tuple(program or command())
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="resolve")

    async def __call__(self, host: str, _: int) -> Sequence[str]:
        """The addresses of a host. Whoever gives up waiting ends the lookup.

        Raises:
            OSError: it has none, or could not be resolved.
        """
        lookup = _Lookup((*self._program, host))
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, lookup.run)
        finally:
            lookup.end()


class _Lookup:
    """One process that resolves one name."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._ended = False

    def run(self) -> list[str]:
        """Start it and wait for it; in a thread."""
        environment = {name: os.environ[name] for name in SETTINGS if name in os.environ}
        with self._lock:
            if self._ended:
                raise OSError("nobody waits for it any more")
            self._process = process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
            )
        try:
            said, _ = process.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            self.end()
            said, _ = process.communicate()
        if process.returncode:
            raise OSError(f"the resolver ended with {process.returncode}")
        return list(dict.fromkeys(line.split()[0] for line in said.splitlines() if line.strip()))

    def end(self) -> None:
        """Kill it unless it is over."""
        with self._lock:
            self._ended = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()

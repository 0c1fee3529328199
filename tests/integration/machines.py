"""Machines of one network, as Linux network namespaces: each has addresses, ports and a loopback of its own."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

STOP_S = 5


class Machines:
    """A bridge and namespaces behind it; whoever made them reaches them from outside."""

    def __init__(self, count: int) -> None:
        if shutil.which("ip") is None or os.geteuid() != 0:
            pytest.skip("machines are network namespaces: they need root and iproute2; nothing here was checked")
        self._bridge = f"es{os.getpid()}"
        self._network = f"10.{random.randrange(64, 128)}.{random.randrange(256)}"
        self.names = [f"{self._bridge}-{i}" for i in range(count)]
        self.addresses = [f"{self._network}.{i + 1}" for i in range(count)]
        self.outside = f"{self._network}.254"  # where whoever made them can be reached from inside
        self._started: list[subprocess.Popen[bytes]] = []
        try:
            self._build()
        except subprocess.CalledProcessError as error:
            self.close()
            pytest.skip(f"no network namespaces here, nothing was checked: {error.stderr.decode().strip()}")

    def _build(self) -> None:
        ip("link", "add", self._bridge, "type", "bridge")
        ip("address", "add", f"{self.outside}/24", "dev", self._bridge)
        ip("link", "set", self._bridge, "up")
        for i, (name, address) in enumerate(zip(self.names, self.addresses, strict=True)):
            ip("netns", "add", name)
            outside, inside = f"{self._bridge}o{i}", f"{self._bridge}i{i}"
            ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
            ip("link", "set", outside, "master", self._bridge, "up")
            ip("-n", name, "address", "add", f"{address}/24", "dev", inside)
            ip("-n", name, "link", "set", inside, "up")
            ip("-n", name, "link", "set", "lo", "up")

    def start(
        self, machine: int, command: list[str], environment: Mapping[str, str], log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a program on a machine."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.names[machine], *command],
                stdout=output,
                stderr=output,
                env=dict(environment),
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def processes(self, machine: int) -> list[int]:
        """Everything that runs on a machine."""
        said = subprocess.run(["ip", "netns", "pids", self.names[machine]], capture_output=True, text=True, check=False)
        return [int(line) for line in said.stdout.split()]

    def close(self) -> None:
        """Stop what runs on the machines, politely first, and take them away."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while self._alive() and time.monotonic() < deadline:
            time.sleep(0.1)
        self._signal(signal.SIGKILL)
        for process in self._started:
            process.wait()
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", self._bridge], capture_output=True, check=False)

    def _alive(self) -> list[int]:
        return list(itertools.chain.from_iterable(self.processes(i) for i in range(len(self.names))))

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._alive():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


def ip(*arguments: str) -> None:
    """Run iproute2."""
    subprocess.run(["ip", *arguments], capture_output=True, check=True)

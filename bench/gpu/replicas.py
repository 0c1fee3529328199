"""Several replicas on one card, each a process, with MPS and without; and a swap of a replica that replays captured launches."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

CONTROL = "nvidia-cuda-mps-control"  # comes with the driver
READY = "ready"
LONGEST_S = 600  # a replica that has not ended by then hangs


@dataclass(frozen=True)
class Replicas:
    """What several processes made of one card."""

    count: int
    mps: bool
    rate: float | None  # inputs per second, of all; None: it failed
    said: str = ""  # why


def several(job: Mapping[str, Any], counts: tuple[int, ...], *, card: bool) -> Iterator[Replicas]:
    """Measure each number of replicas, beside each other and, where a card is, through MPS too.

    Args:
        job: of a child.
        counts: of replicas.
        card: whether a card computes; MPS is tried only then.
    """
    for mps in (False, True) if card and shutil.which(CONTROL) else (False,):
        with _control() if mps else _plain() as environment:
            for count in counts:
                found = together([dict(job)] * count, environment)
                rates = [one["rate"] for one in found if "rate" in one]
                failed = next((one["failed"] for one in found if "failed" in one), "")
                yield Replicas(count, mps, None if failed else sum(rates), failed)


def together(jobs: list[dict[str, Any]], environment: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Run children that begin at the same time; what each said, or ``failed`` with the last line of its errors."""
    children = [Child(job, environment or {}) for job in jobs]
    try:
        for child in [child for child in children if child.ready()]:
            child.begin()
        return [child.result() for child in children]
    finally:
        for child in children:
            child.end()


class Child:
    """A replica in a process of its own."""

    def __init__(self, job: dict[str, Any], environment: Mapping[str, str]) -> None:
        """Start it; it loads."""
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in ``end``
        own = {**os.environ, **environment}
        command = [sys.executable, "-m", "bench.gpu.child"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=own
        )
        self._late = threading.Timer(LONGEST_S, self._process.kill)
        self._late.start()
        self._tell(json.dumps(job))

    def ready(self) -> bool:
        """Wait until it has loaded; whether it has."""
        return self._line() == READY

    def begin(self) -> None:
        """Let it do its job."""
        self._tell("")

    def result(self) -> dict[str, Any]:
        """What it said, or why it did not."""
        line = self._line()
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
        code = self._process.wait(LONGEST_S)
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines() or ["nothing"]
        return {"failed": f"exit code {code}, {said[-1]:.200}"}

    def end(self) -> None:
        """Make sure that it is gone."""
        self._late.cancel()
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it ended, which its result says
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        lines = (line.strip() for line in self._process.stdout)
        return next((line for line in lines if line == READY or line.startswith("{")), "")


@contextmanager
def _plain() -> Iterator[dict[str, str]]:
    yield {}


@contextmanager
def _control() -> Iterator[dict[str, str]]:
    """A daemon of MPS for these processes alone."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        own = {**os.environ, **environment}
        subprocess.run([CONTROL, "-d"], check=True, env=own, timeout=60)
        try:
            yield environment
        finally:
            subprocess.run([CONTROL], input="quit\n", text=True, check=False, env=own, timeout=60)

"""The process of ``ceiling.py``, seen from the benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


class Worker:
    """A process that answers questions, one at a time."""

    def __init__(self) -> None:
        """Start it; a model loads with the first question about it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.systems.ceiling"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, question: dict[str, Any]) -> Any:
        """Send a question and wait for its answer.

        Raises:
            RuntimeError: the process ended.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the ceiling's process ended with status {self._process.wait()}")
        return json.loads(line)

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:  # freeing gigabytes of sessions takes long, and no result depends on it
            self._process.kill()
            self._process.wait()

"""``embedserve`` commands in processes forked from one that has imported Ray, which takes a new interpreter 3 s of processor."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.forking import FORKING, preload

LONGEST_S = 240
preload("deployments.cli.main", "deployments.operator.execute", "models.embedder")


class Command:
    """One command under way."""

    def __init__(self, *arguments: str, environment: Mapping[str, str]) -> None:
        """Start it with these variables beside those of the tests."""
        handle, name = tempfile.mkstemp(prefix="embedserve-command-")
        os.close(handle)
        self._output = Path(name)
        variables = {**os.environ, "COLUMNS": "200", **environment}
        self._process = FORKING.Process(target=_run, args=(arguments, variables, name))
        self._process.start()

    def end(self) -> tuple[int, str]:
        """Wait for it; its exit status, and all that it said with every gap as one space."""
        self._process.join(LONGEST_S)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
        said = " ".join(self._output.read_text(encoding="utf-8").split())
        self._output.unlink()
        assert code is not None, said
        return code, said


def _run(arguments: tuple[str, ...], variables: dict[str, str], output: str) -> None:
    from deployments.cli.main import main

    os.environ.clear()
    os.environ.update(variables)
    with Path(output).open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["embedserve", *arguments]
    main()

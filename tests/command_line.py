"""`embedserve` as a shell would see it, in this process: an interpreter that starts for each command takes seconds.

The program itself, with an interpreter of its own, is tests/integration/as_shipped/test_cli.py's and tests/deployments/cli/test_main.py's.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from subprocess import CompletedProcess
from unittest import mock


def embedserve(*words: str, environment: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """Run a command with variables beside those of the tests."""
    from deployments.cli.main import main

    status: object = 0
    with (
        mock.patch.dict(os.environ, environment or {}),
        mock.patch.object(sys, "argv", ["embedserve", *words]),
        redirect_stdout(io.StringIO()) as output,
        redirect_stderr(io.StringIO()) as errors,
    ):
        try:
            main()
        except SystemExit as ended:
            status = ended.code
    return CompletedProcess(list(words), int(str(status or 0)), output.getvalue(), errors.getvalue())

"""The service behaves as its own description says: every check of schemathesis on every operation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from models.catalog.paths import ROOT
from tests.integration.service import Service

EXAMPLES = os.environ.get("EMBEDSERVE_EXAMPLES", "15")  # of each operation; `make faults` takes more


def test_every_operation_does_as_it_is_described(service: Service, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "--no-color", "run", f"{service.url}/openapi.json", "--checks", "all"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--request-timeout", "60"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.faults.description_hooks", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout[-1500:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "22 selected / 22 total" in done.stdout

"""The end of a job's own Ray ends the job with a word; the processes here have Ray's names and nothing else of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import subprocess, sys, time
from deployments.backfill import own_ray_watch
over = own_ray_watch.start()
children = {name: subprocess.Popen([f"{sys.argv[1]}/{name}", "60"]) for name in ("gcs_server", "raylet")}
print(*(child.pid for child in children.values()), flush=True)
if sys.argv[2] == "stop":
    over.set()
children.pop(sys.argv[3]).kill()
time.sleep(2 if sys.argv[2] == "stop" else 60)
print("went on")
for child in children.values():
    child.kill()
"""


@pytest.mark.parametrize("killed", ["gcs_server", "raylet"])
@pytest.mark.parametrize("when", ["at work", "stop"])
def test_a_job_whose_ray_was_killed_even_before_it_had_started_ends_and_says_so_unless_it_is_over(
    tmp_path: Path, killed: str, when: str
) -> None:
    for name in ("gcs_server", "raylet"):
        shutil.copy("/bin/sleep", tmp_path / name)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), when, killed]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        pids = [int(pid) for pid in job.stdout.readline().split()]
        try:
            assert job.wait(timeout=30) == (1 if when == "at work" else 0)
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            out, said = job.communicate(timeout=10)
    if when == "at work":
        assert said.startswith(f"error: Ray ended by itself ({killed}); what is in the sink stays")
    else:
        assert (out, said) == ("went on\n", "")

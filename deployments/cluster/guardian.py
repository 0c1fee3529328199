"""The process that everything of a local Ray runs under: it starts Ray, and ends all of it when its supervisor says so or is gone.

It runs in a session of its own, so that no terminal, and no signal to the supervisor's group, reaches Ray. What it waits for is
the end of a pipe that the supervisor alone holds open: nothing that ends the supervisor can prevent that. It loads nothing but
Python's own modules, so that whatever becomes of Ray does not happen to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from pathlib import Path

from deployments.cluster.processes import adopt_orphans, end_all
from deployments.cluster.run_folder import RunFolder
from deployments.cluster.supervised import ASKED, RAY_ENDED, STOP_S

LOOK_S = 1.0  # between looks at its children


def main() -> None:
    """Start Ray's process, stay until the supervisor closes its pipe or that process ends, and clear up."""
    options = json.loads(sys.argv[1])
    folder = RunFolder(Path(options["folder"]), options["lock"])
    os.set_inheritable(folder.lock, False)
    os.umask(0o077)  # Ray writes its token, its logs and its sockets with the umask it finds
    adopt_orphans()
    folder.note_session(os.getsid(0))
    command = [sys.executable, "-P", "-m", "deployments.cluster.ray_process", sys.argv[1]]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as ray:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # Ray's process alone has something to tell there
        code = _wait(ray)
        if code == ASKED:
            assert ray.stdin is not None
            ray.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                ray.wait(STOP_S)
        end_all()
        if code == ASKED:
            folder.remove()
        os._exit(code)


def _wait(ray: subprocess.Popen[bytes]) -> int:
    """Wait until the supervisor closes its pipe or is gone, or Ray's process ends; returns the exit status."""
    while not select.select([sys.stdin], [], [], LOOK_S)[0]:
        if ray.poll() is not None:
            return RAY_ENDED
        _let_adopted_go(ray.pid)
    return ASKED


def _let_adopted_go(ray: int) -> None:
    """Take note of the end of those that lost their parent; nobody else would."""
    peek = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while (ended := os.waitid(os.P_ALL, 0, peek)) is not None and ended.si_pid != ray:
        os.waitpid(ended.si_pid, 0)


if __name__ == "__main__":
    main()

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

from deployments.cluster.processes import adopt_orphans, end_all, in_words
from deployments.cluster.ray_parts import RayParts
from deployments.cluster.run_folder import RunFolder
from deployments.cluster.supervised import ASKED, LOOK_S, RAY_ENDED, STOP_S


def main() -> None:
    """Start Ray's process, stay until the supervisor closes its pipe or that process ends, and clear up."""
    options = json.loads(sys.argv[1])
    os.umask(0o077)  # Ray writes its token, its logs and its sockets with the umask it finds
    adopt_orphans()
    tell = os.dup(sys.stdout.fileno())
    folder = RunFolder(Path(options["folder"]))
    try:
        folder.make()
        os.environ |= folder.environment(haproxy=options["haproxy"])
        folder.note_session(os.getsid(0))
    except OSError as error:
        _tell(tell, {"error": f"the folder for its files cannot be made: {error}"})
        os._exit(RAY_ENDED)
    command = [sys.executable, "-P", "-m", "deployments.cluster.ray_process", sys.argv[1]]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as ray:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what anybody prints is for people
        code = _wait(ray, RayParts(folder.logs, os.getpid()), tell)
        if code == ASKED:
            assert ray.stdin is not None
            ray.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                ray.wait(STOP_S)
        end_all()
        if code == ASKED:
            folder.remove()
        os._exit(code)


def _wait(ray: subprocess.Popen[bytes], parts: RayParts, tell: int) -> int:
    """Wait until the supervisor closes its pipe or is gone, or Ray ends; returns the exit status.

    Args:
        ray: the process that starts Ray.
        parts: of that Ray.
        tell: where the supervisor reads what has ended, a line of JSON each.
    """
    while not select.select([sys.stdin], [], [], LOOK_S)[0]:
        if (status := ray.poll()) is not None:  # asked first: its end takes the others along
            if status != RAY_ENDED:  # else it has told why itself
                _tell(tell, {"ended": f"the process that starts Ray {in_words(status)}"})
            return RAY_ENDED
        if losses := parts.lost():
            over = any(loss.part.vital for loss in losses)
            _tell(tell, {"ended" if over else "lost": "; ".join(loss.said for loss in losses)})
            if over:
                return RAY_ENDED
        _let_adopted_go(ray.pid)
    return ASKED


def _tell(supervisor: int, about: dict[str, str]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the supervisor is gone, which the next look notices
        os.write(supervisor, json.dumps(about).encode() + b"\n")


def _let_adopted_go(ray: int) -> None:
    """Take note of the end of those that lost their parent; nobody else would."""
    peek = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while (ended := os.waitid(os.P_ALL, 0, peek)) is not None and ended.si_pid != ray:
        os.waitpid(ended.si_pid, 0)


if __name__ == "__main__":
    main()

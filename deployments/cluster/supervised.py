"""A process, all that descends from it, and its folder: they end together, whatever ends them."""

from __future__ import annotations

import math
import os
import select
import subprocess
import time
from collections.abc import Callable, Mapping

from deployments.cluster.processes import adopt_orphans, children_of, end_all
from deployments.cluster.run_folder import RunFolder

ASKED, RAY_ENDED = 0, 3  # exit statuses: told to end; Ray ended without being told
LOOK_S = 0.5  # between looks at Ray's processes: nothing in Ray itself looks at them while it starts
STOP_S = 15.0  # in which it ends by itself when it is told to
PATIENCE_S = STOP_S + 5  # after which it is killed with all that it started
POLL_S = 0.05


class Supervised:
    """The process that Ray runs under, all that descends from it, and its folder: they end together."""

    def __init__(self) -> None:
        """Choose the folder; ``end`` is to be called whatever happens next."""
        self._others = children_of(os.getpid())
        self.folder = RunFolder.choose()
        self.process: subprocess.Popen[bytes] | None = None
        self._heard = b""

    def start(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Start the process in a session of its own. It makes the folder: were it made here, a kill before this would leave it."""
        adopt_orphans()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(environment), start_new_session=True
        )

    def line(self, within_s: float = math.inf) -> bytes:
        """The next line that it writes; nothing where it writes none within that time, or ever again.

        It waits for the end of the process itself: what that started may hold its pipe open for longer.
        """
        assert self.process is not None
        assert self.process.stdout is not None
        deadline = time.monotonic() + within_s
        while b"\n" not in self._heard:
            last = self.process.poll() is not None or time.monotonic() > deadline
            if select.select([self.process.stdout], [], [], 0 if last else LOOK_S)[0]:
                data = os.read(self.process.stdout.fileno(), 65536)
                if not data:
                    return b""
                self._heard += data
            elif last:
                return b""
        line, _, self._heard = self._heard.partition(b"\n")
        return line

    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self.process.poll() if self.process is not None else None

    def wait(self) -> int:
        """Wait until it ends by itself; returns its exit status."""
        assert self.process is not None
        return self.process.wait()

    def end(self, *, keep_folder: bool = False, hurry: Callable[[], bool] = lambda: False) -> None:
        """Ask it to end, kill what does not within ``PATIENCE_S`` or once somebody is in a hurry, and clear up.

        Args:
            keep_folder: kill it at once, and leave the logs for whoever wants to know why; the next start clears them.
            hurry: is asked again and again whether to wait no longer.
        """
        if self.process is not None and not keep_folder:
            assert self.process.stdin is not None
            self.process.stdin.close()
            deadline = time.monotonic() + PATIENCE_S
            while self.process.poll() is None and not hurry() and time.monotonic() < deadline:
                time.sleep(POLL_S)
        end_all(self._others)
        if self.process is not None:
            self.process.wait()
        if not keep_folder:
            self.folder.remove()
        adopt_orphans(False)

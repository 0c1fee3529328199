"""A command as `embedserve up` is one: it supervises a process that leaves daemons behind. Run by test_supervised.py."""

from __future__ import annotations

import os
import sys

from deployments.cli.endings import Ended, Endings
from deployments.cluster.supervised import Supervised

# Two daemons: one that lost its parent, and one in a session of its own, which holds a port. Neither hears signals.
DAEMONS = """
import os, signal, socket, sys, time
os.mkdir(sys.argv[1], 0o700)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
server = socket.create_server(("127.0.0.1", 0))
for new_session in (False, True):
    if os.fork() == 0:
        if new_session:
            os.setsid()
        if os.fork() != 0:
            os._exit(0)
        time.sleep(1000)
print(server.getsockname()[1], flush=True)
"""
HEARS = DAEMONS + "sys.stdin.read()"
DEAF = DAEMONS + "time.sleep(1000)"


def main() -> None:
    """Supervise until a signal comes, as the command does."""
    program = {"hears": HEARS, "deaf": DEAF}[sys.argv[1]]
    with Endings() as endings:
        with endings.held():
            supervised = Supervised()
        try:
            supervised.start([sys.executable, "-c", program, str(supervised.folder.path)], os.environ)
            print(int(supervised.line()), supervised.process.pid if supervised.process else 0, flush=True)
            supervised.wait()
        except Ended:
            pass
        finally:
            endings.expected()
            supervised.end(hurry=lambda: endings.hurry)


if __name__ == "__main__":
    main()

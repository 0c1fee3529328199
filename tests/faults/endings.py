"""Every way to end `embedserve up`, at every moment: what is left afterwards?

python -m tests.faults.endings --phase ready --rounds 10 --minutes 13    # endings by turns; prints what each left
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import random
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

import httpx2
import yaml

from deployments.cluster.ports import Listener, free_port, listeners
from deployments.cluster.processes import adopt_orphans, children_of, descendants, end_all, open_files, reap
from deployments.cluster.run_folder import PREFIX, clear_leftovers
from deployments.cluster.serve_api import ClusterError, ServeApi
from deployments.cluster.serve_file import ServeConfig
from tests.faults.fleet import text_only
from tests.integration.documents import Document, application, shipped
from tests.integration.service import QUICK

PROGRAM = str(Path(sys.executable).with_name("embedserve"))
PHASES = ("beginning", "starting", "deploying", "ready", "swapping", "loaded")
START_S, GONE_S = 240, 30.0
LONGEST_START_S = 9.0  # a kill while Ray starts comes at any moment before
LONGEST_DEPLOY_S = 12.0  # and so while Serve, HAProxy and the replicas do
CLIENTS = 8


@dataclass
class Run:
    """One `embedserve up` with its terminal."""

    process: subprocess.Popen[bytes]
    terminal: int
    folder: Path
    port: int
    said: bytearray = field(default_factory=bytearray)
    closed: threading.Event = field(default_factory=threading.Event)
    reader: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    @property
    def guardian(self) -> int:
        """The process that everything runs under."""
        (child,) = children_of(self.process.pid)
        return child

    @property
    def ray_process(self) -> int:
        """The process that starts Ray."""
        return min(children_of(self.guardian))

    def named(self, name: str) -> int:
        """A process of Ray by its name."""
        return next(pid for pid in descendants(self.guardian) if Path(f"/proc/{pid}/comm").read_text().strip() == name)

    def signal(self, number: int) -> None:
        """To the process alone."""
        os.kill(self.process.pid, number)

    def signal_group(self, number: int) -> None:
        """To its group, as a terminal does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def close_terminal(self) -> None:
        """Close its window. Who still reads from it keeps it open, and so must stop before."""
        if not self.closed.is_set():
            self.closed.set()
            self.reader.join()
            os.close(self.terminal)

    def _read(self) -> None:
        while not self.closed.is_set():
            if select.select([self.terminal], [], [], 0.05)[0]:
                try:
                    self.said += os.read(self.terminal, 65536)
                except OSError:  # nobody writes there any more
                    return


def _twice(run: Run, number: int, pause_s: float) -> None:
    run.signal(number)
    time.sleep(pause_s)
    run.signal_group(number)


def _kill(*find: Callable[[Run], int]) -> Callable[[Run], None]:
    def kill(run: Run) -> None:
        victims = []
        for one in find:
            with contextlib.suppress(StopIteration, ValueError, OSError):  # it has not started that yet
                victims.append(one(run))
        for pid in victims or [run.process.pid]:
            os.kill(pid, signal.SIGKILL)

    return kill


ENDINGS: dict[str, Callable[[Run], None]] = {
    "TERM": lambda run: run.signal(signal.SIGTERM),
    "TERM twice, as `timeout` sends it": lambda run: _twice(run, signal.SIGTERM, 0),
    "INT twice": lambda run: _twice(run, signal.SIGINT, 0.3),
    "INT twice, the second one impatient": lambda run: _twice(run, signal.SIGINT, 1.5),
    "HUP, by closing its terminal": Run.close_terminal,
    "KILL of the command": lambda run: run.signal(signal.SIGKILL),
    "KILL of the guardian": _kill(lambda run: run.guardian),
    "KILL of Ray's process": _kill(lambda run: run.ray_process),
    "KILL of both watchers at once, and the next start": _kill(lambda run: run.guardian, lambda run: run.process.pid),
    "out of memory, which takes the raylet": _kill(lambda run: run.named("raylet")),
    "out of memory, which takes the control plane": _kill(lambda run: run.named("gcs_server")),
}
# Nobody is left to do it, or the logs say why it failed: the folder goes with the next start, which each run is to the one before.
CLEARED_LATER = ("KILL of both", "KILL of the guardian", "KILL of Ray's process", "out of memory")


def start(folder: Path, port: int) -> Run:
    """Start a service of the text model alone on a terminal of its own."""
    document = shipped()
    text_only(document, replicas=1)
    (folder / "serve_config.yaml").write_text(yaml.safe_dump(document))
    master, slave = pty.openpty()
    ready = folder / "ready"
    ready.unlink(missing_ok=True)
    command = [PROGRAM, "up", "--beside", "--port", str(port), "--config", str(folder / "serve_config.yaml")]
    process = subprocess.Popen(
        ["setsid", "--ctty", *command, "--ready-file", str(ready)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, **QUICK, "TMPDIR": str(folder)},
    )
    os.close(slave)
    return Run(process, master, folder, port)


def wait_until(run: Run, holds: Callable[[], bool]) -> None:
    """Wait for it, or fail with what it said."""
    deadline = time.monotonic() + START_S
    while not holds():
        assert run.process.poll() is None, run.said.decode(errors="replace")
        assert time.monotonic() < deadline, run.said.decode(errors="replace")
        time.sleep(0.1)


@contextlib.contextmanager
def loaded(run: Run) -> Iterator[None]:
    """Clients that ask and ask; what becomes of their requests is not the question here."""
    stop = threading.Event()

    def ask() -> None:
        with httpx2.Client(base_url=f"http://127.0.0.1:{run.port}", timeout=5, trust_env=False) as client:
            while not stop.is_set():
                try:
                    client.post(
                        "/v1/embeddings", json={"model": "text-embedding", "input": [random.random().hex()] * 32}
                    )
                except httpx2.HTTPError:
                    stop.wait(0.05)

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def begin_swap(run: Run) -> None:
    """Ask for another artifact and another number of gateways, and do not wait: HAProxy starts anew meanwhile."""
    import json

    document: Document = yaml.safe_load((run.folder / "serve_config.yaml").read_text())
    document["http_options"]["port"] = run.port
    application(document, "text-embedding--1-0-0")["deployments"][0]["user_config"]["artifact"] = "text-embedding@1.1.0"
    application(document, "gateway")["deployments"][0]["autoscaling_config"].update(min_replicas=2, max_replicas=2)
    with contextlib.suppress(ClusterError):
        ServeApi(json.loads((run.folder / "ready").read_text())["dashboard"]).deploy(ServeConfig(document))
    time.sleep(random.uniform(0, 3))


def sockets_of(pids: set[int]) -> set[Listener]:
    """The TCP sockets on which processes listen."""
    files = set().union(*(open_files(pid) for pid in pids))
    return {listener for listener in listeners() if f"socket:[{listener.inode}]" in files}


def left_behind(run: Run, spare: set[int], sockets: set[Listener], ending: str) -> list[str]:
    """What is left of a run within ``GONE_S``: processes, ports, folders."""
    deadline = time.monotonic() + GONE_S
    while True:
        processes = descendants(os.getpid(), spare)
        reap(processes)
        listening = {one.port for one in listeners() if one in sockets or one.port == run.port}
        folders = [] if ending.startswith(CLEARED_LATER) else list(run.folder.glob(f"{PREFIX}*"))
        if not (processes or listening or folders):
            return []
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    names = []
    for pid in processes:
        with contextlib.suppress(OSError):
            names.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:120])
    return [*names, *(f"port {port}" for port in sorted(listening)), *map(str, folders)]


def one(ending: str, phase: str, folder: Path, port: int) -> list[str]:
    """Start it, end it, and say what is left; nothing when all is well."""
    spare, earlier = children_of(os.getpid()), set(folder.glob(f"{PREFIX}*"))
    run = start(folder, port)
    try:
        with contextlib.ExitStack() as during:
            if phase == "beginning":  # its folder is there, and Ray is not
                while set(folder.glob(f"{PREFIX}*")) <= earlier:
                    time.sleep(0.001)
            elif phase == "starting":
                time.sleep(random.uniform(0.3, LONGEST_START_S))
            elif phase == "deploying":
                wait_until(run, lambda: b"deploying" in run.said)
                time.sleep(random.uniform(0, LONGEST_DEPLOY_S))
            else:
                wait_until(run, (run.folder / "ready").exists)
            if phase == "loaded":
                during.enter_context(loaded(run))
            if phase == "swapping":
                begin_swap(run)
            sockets = sockets_of(descendants(os.getpid(), spare))
            if run.process.poll() is None:
                ENDINGS[ending](run)
            if ending.startswith("KILL of both"):
                run.process.wait()
                clear_leftovers({folder})  # as `embedserve up` begins
            left = left_behind(run, spare, sockets, ending)
            if left:
                print(run.said.decode(errors="replace")[-3000:], flush=True)
    finally:
        end_all(spare)
        run.process.wait()
        run.close_terminal()
    return left


@contextlib.contextmanager
def place() -> Iterator[tuple[Path, int]]:
    """A folder for temporary files and a port, the same for run after run: each start also proves the ending before."""
    folder = Path(tempfile.mkdtemp(prefix="e-", dir="/tmp"))
    adopt_orphans()  # whatever loses its parent is found below this process
    try:
        yield folder, free_port()
        clear_leftovers({folder})
        assert list(folder.glob(f"{PREFIX}*")) == []
    finally:
        adopt_orphans(False)
        rmtree(folder)


def main() -> None:
    """End it by turns, and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phase", choices=PHASES, default="ready")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no further round after them")
    parser.add_argument("--only", nargs="*", default=list(ENDINGS), help="endings whose names begin so")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it for what they start in the background
    clean: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    deadline = time.monotonic() + options.minutes * 60
    with place() as (folder, port):
        for number in range(options.rounds):
            for ending in ENDINGS:
                if not ending.startswith(tuple(options.only)) or time.monotonic() > deadline:
                    continue
                begin = time.monotonic()
                left = one(ending, options.phase, folder, port)
                tried[ending] += 1
                clean[ending] += not left
                print(
                    f"{number + 1} {options.phase}: {ending}: {left or 'nothing left'} ({time.monotonic() - begin:.0f} s)",
                    flush=True,
                )
    for ending, count in tried.items():
        print(f"{options.phase:9} {ending:46} nothing left {clean[ending]} of {count}")
    sys.exit(clean != tried)


if __name__ == "__main__":
    main()

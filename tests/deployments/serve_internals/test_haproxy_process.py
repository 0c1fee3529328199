"""HAProxy's process under the program that Serve starts in its place; HAProxy itself is the real one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.cluster.ports import free_port, holder, listening_ports
from deployments.cluster.processes import adopt_orphans, children_of, end_all, has_ended
from deployments.serve_internals import haproxy_process
from tests.integration.waiting import wait

NOBODY = 65534
# Starts HAProxy as Serve's manager does: from the thread of an event loop, which is not the main thread. Each line that it
# reads starts another one, which takes over from the one before.
MANAGER = """
import asyncio, sys, threading
program, config = sys.argv[1:]
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
start = lambda *more: asyncio.run_coroutine_threadsafe(
    asyncio.create_subprocess_exec(program, "-db", "-f", config, *more, stderr=asyncio.subprocess.DEVNULL), loop).result().pid
before = []
while True:
    pid = start(*(["-sf", *before] if before else []))
    before.append(str(pid))
    print(pid, flush=True)
    if not sys.stdin.readline():
        break
"""


@dataclass
class Manager:
    """A process as Serve's manager is one, with HAProxy."""

    process: subprocess.Popen[str]
    folder: Path
    port: int

    def haproxy(self) -> int:
        """The HAProxy that was started last."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def reload(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def wait_for_end(self, *haproxys: int) -> None:
        """Wait until they have ended and the port is free."""

        def left() -> list[str]:
            running = [f"HAProxy {pid} ({exe_of(pid)})" for pid in haproxys if not has_ended(pid)]
            return running + ([f"port {self.port} of {holder(self.port)}"] if self.port in listening_ports() else [])

        wait(lambda: f"HAProxy to end (still there: {' and '.join(left())})", lambda: not left())

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            return client.recv(64).startswith(b"HTTP/1.1 204")
        return False


def write_config(folder: Path, port: int) -> Path:
    config = folder / "haproxy.cfg"
    config.write_text(
        f"global\n  stats socket {folder}/s mode 666 level admin expose-fd listeners\n"
        "defaults\n  mode http\n  timeout client 60s\n  timeout http-request 60s\n"
        f"frontend f\n  bind 127.0.0.1:{port}\n  http-request return status 204\n"
    )
    return config


def exe_of(pid: int) -> str:
    """The program that a process runs: HAProxy, or Python before it has become HAProxy."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/exe").readlink().name
    return "gone"


def second_has_the_socket(manager: Manager, pid: int) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(manager.folder / "s"))
        admin.sendall(b"show info\n")
        return f"Pid: {pid}\n".encode() in b"".join(iter(lambda: admin.recv(65536), b""))
    return False


CONNECT = """
import os, socket, sys
if sys.argv[2] != "owner":
    os.setgroups([])
    os.setresgid(*3 * [int(sys.argv[2])])
    os.setresuid(*3 * [int(sys.argv[2])])
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except OSError as error:
    print(type(error).__name__)
"""


def connecting(manager: Manager, user: int | str) -> str:
    """What happens when a user connects to the admin socket: the name of the error, or nothing."""
    command = [sys.executable, "-c", CONNECT, str(manager.folder / "s"), str(user)]
    return subprocess.check_output(command, text=True, timeout=60).strip()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Open to everybody, as a shell's umask makes it, in a place that sockets' names have room for."""
    with tempfile.TemporaryDirectory(prefix="h-", dir="/tmp") as above:
        Path(above).chmod(0o755)
        made = Path(above) / "node"
        made.mkdir()
        made.chmod(0o755)
        yield made


@pytest.fixture
def manager(folder: Path) -> Iterator[Manager]:
    port = free_port()
    environment = {**os.environ, **haproxy_process.binary(folder.parent, {})}
    command = [sys.executable, "-c", MANAGER, environment[haproxy_process.VARIABLE], str(write_config(folder, port))]
    adopt_orphans()
    others = children_of(os.getpid())
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
        start_new_session=True,  # Ray's workers have groups of their own
    )
    try:
        yield Manager(process, folder, port)
    finally:
        end_all(others)
        process.wait()
        adopt_orphans(False)


def test_it_ends_with_the_manager_that_is_killed_and_its_port_is_free(manager: Manager) -> None:
    haproxy = manager.haproxy()
    wait("HAProxy to answer", manager.answers)
    assert exe_of(haproxy) == "haproxy"
    manager.process.send_signal(signal.SIGKILL)
    manager.wait_for_end(haproxy)


def test_each_one_of_a_reload_ends_with_the_manager_also_while_it_drains(manager: Manager) -> None:
    first = manager.haproxy()
    wait("HAProxy to answer", manager.answers)
    with socket.create_connection(("127.0.0.1", manager.port)) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\n")  # keeps the first one draining
        manager.reload()
        second = manager.haproxy()
        wait("the second to take over", lambda: exe_of(second) == "haproxy" and second_has_the_socket(manager, second))
        assert not has_ended(first)
        manager.process.send_signal(signal.SIGKILL)
        manager.wait_for_end(first, second)


@pytest.mark.parametrize("after_s", [0, 0.01, 0.02, 0.04, 0.08], ids=lambda s: f"{s} s after the start")
def test_a_manager_that_is_killed_before_its_haproxy_runs_leaves_none(manager: Manager, after_s: float) -> None:
    haproxy = manager.haproxy()
    time.sleep(after_s)
    manager.process.send_signal(signal.SIGKILL)
    manager.wait_for_end(haproxy)


def test_it_goes_on_while_its_manager_lives(manager: Manager) -> None:
    haproxy = manager.haproxy()
    wait("HAProxy to answer", manager.answers)
    for _ in range(5):
        manager.reload()
        haproxy, before = manager.haproxy(), haproxy
        wait("the one before to end", lambda before=before: has_ended(before))
        assert manager.answers()
    assert not has_ended(haproxy)


def test_its_folder_is_closed_whatever_the_umask_was(manager: Manager) -> None:
    manager.haproxy()
    wait("HAProxy to answer", manager.answers)
    assert stat.S_IMODE(manager.folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_another_user_does_not_reach_its_admin_socket_and_its_owner_does(manager: Manager) -> None:
    manager.haproxy()
    wait("HAProxy to answer", manager.answers)
    assert connecting(manager, "owner") == ""
    assert connecting(manager, NOBODY) == "PermissionError"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes folders of another user")
@pytest.mark.parametrize("whose", ["its folder", "the folder above"])
def test_a_place_of_another_user_is_refused_with_what_to_do(folder: Path, whose: str) -> None:
    os.chown(folder if whose == "its folder" else folder.parent, NOBODY, NOBODY)
    with pytest.raises(SystemExit, match=r"choose a folder of your own by RAY_SERVE_HAPROXY_CONFIG_FILE_LOC"):
        haproxy_process.close_folder(folder)


@pytest.mark.parametrize(("mode", "good"), [(0o777, False), (0o775, False), (0o1777, True), (0o755, True)], ids=oct)
def test_a_place_in_which_others_could_exchange_the_folder_is_refused(folder: Path, mode: int, good: bool) -> None:
    folder.parent.chmod(mode)
    with contextlib.nullcontext() if good else pytest.raises(SystemExit, match="open to other users"):
        haproxy_process.close_folder(folder)


def test_a_link_in_the_folders_place_is_refused(folder: Path, tmp_path: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(SystemExit, match="belongs to another user"):
        haproxy_process.close_folder(link)


def test_an_operators_own_haproxy_runs_behind_it(folder: Path) -> None:
    own = folder / "own"
    own.write_text('#!/bin/sh\necho "own $*"\n')
    own.chmod(0o755)
    variables = haproxy_process.binary(folder.parent, {haproxy_process.VARIABLE: str(own)})
    said = subprocess.run(
        [variables[haproxy_process.VARIABLE], "-v"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "own -v\n"


def test_where_the_program_is_not_installed_a_script_does_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(haproxy_process.sysconfig, "get_path", lambda _: str(folder / "nowhere"))
    variables = haproxy_process.binary(folder, {})
    assert Path(variables[haproxy_process.VARIABLE]) == folder / haproxy_process.PROGRAM
    said = subprocess.run(
        [variables[haproxy_process.VARIABLE], "-v"], env={**os.environ, **variables}, capture_output=True, check=True
    )
    assert said.stdout.startswith(b"HAProxy version")

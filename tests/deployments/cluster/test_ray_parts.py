"""A part of Ray that ends ends the start, or the service, at once and with its name.

Everything here is as `embedserve up` has it but for `ray` itself: that is a package of a few lines which starts processes with
the names of Ray's, and then waits as Ray does whose control plane is gone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deployments.cluster.local_ray import start_local
from deployments.cluster.processes import adopt_orphans, children_of, descendants
from deployments.cluster.serve_api import ClusterError
from deployments.cluster.supervised import LOOK_S, RAY_ENDED, Supervised
from deployments.serve_internals.seams import SEAMS
from tests.integration.waiting import wait

SOON_S = 5.0
SEEN_S = 4 * LOOK_S  # after which the guardian has seen what was started
RAY = """
import ctypes, os, pathlib, subprocess, sys, time
from types import SimpleNamespace

HERE = pathlib.Path(__file__).parent
PARTS = {name: [str(HERE / name), "1000"] for name in ("gcs_server", "raylet")}
PARTS["dashboard"] = [sys.executable, str(HERE / "dashboard" / "dashboard.py")]


def init(**_):
    plan = os.environ["PLAN"]
    started = {name: subprocess.Popen(command) for name, command in PARTS.items()}
    if plan == "wait":
        time.sleep(1000)
    if plan == "wait in code that holds the interpreter":
        ctypes.PyDLL(None).sleep(1000)
    if plan == "look at what has ended, and wait":
        while True:
            time.sleep(0.05)
            [process.poll() for process in started.values()]
    if plan == "start, end at once, and wait":
        started["gcs_server"].kill()
        time.sleep(1000)
    if plan == "raise when one has ended":
        os.waitid(os.P_PID, started["gcs_server"].pid, os.WEXITED | os.WNOWAIT)
        raise RuntimeError("no GCS\\nat all")
    return SimpleNamespace(dashboard_url="127.0.0.1:1")


def get_runtime_context():
    return SimpleNamespace(gcs_address="127.0.0.1:2")
"""


@pytest.fixture
def plan(place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Says what the ray of this test does after it has started its processes."""
    package = place / "lib" / "ray"
    (package / "dashboard").mkdir(parents=True)
    (package / "__init__.py").write_text(RAY)
    (package / "dashboard" / "dashboard.py").write_text("import time; time.sleep(1000)")
    for name in ("gcs_server", "raylet"):
        shutil.copy("/bin/sleep", package / name)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(place / "lib"), *filter(None, sys.path)]))
    monkeypatch.setitem(SEAMS.__dict__, "allowed", frozenset())  # this ray has no private parts
    return lambda said: monkeypatch.setenv("PLAN", said)


@pytest.fixture
def supervised(place: Path) -> Iterator[Supervised]:
    adopt_orphans()
    others = children_of(os.getpid())
    running = Supervised()
    yield running
    running.end(keep_folder=True)
    assert children_of(os.getpid()) == others


def pid_of(supervised: Supervised, name: str) -> int:
    """Wait for the process that runs a program."""
    found: list[int] = []

    def look() -> bool:
        for pid in descendants(supervised.process.pid) if supervised.process else ():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                found.extend(pid for word in words[:4] if Path(word).name == name)
        return bool(found)

    wait(name, look)
    return found[0]


def why_it_does_not_start(supervised: Supervised) -> str:
    """What a start says that fails."""
    with pytest.raises(ClusterError) as raised:
        start_local(supervised, 1)
    return str(raised.value)


def why_it_does_not_start_without(supervised: Supervised, victim: str, after_s: float = 0.0) -> str:
    """What a start says during which a process is killed, so long after that began."""

    def kill() -> float:
        pid = pid_of(supervised, victim)
        time.sleep(after_s)
        os.kill(pid, signal.SIGKILL)
        return time.monotonic()

    with ThreadPoolExecutor() as pool:
        killed = pool.submit(kill)
        said = why_it_does_not_start(supervised)
        assert time.monotonic() - killed.result() < SOON_S
    return said


def test_a_folder_that_cannot_be_made_is_named(supervised: Supervised) -> None:
    supervised.folder.path.write_text("something else")
    said = why_it_does_not_start(supervised)
    assert f"the folder for its files cannot be made: [Errno 17] File exists: '{supervised.folder.path}'" in said
    supervised.folder.path.unlink()


@pytest.mark.parametrize(
    ("ray_does", "victim"), [("wait", "gcs_server"), ("wait in code that holds the interpreter", "raylet")]
)
def test_a_killed_part_ends_the_start_and_is_named_with_its_log(
    supervised: Supervised, plan: Callable[[str], None], ray_does: str, victim: str
) -> None:
    plan(ray_does)
    said = why_it_does_not_start_without(supervised, victim)
    assert f"({victim}) was ended by SIGKILL; its log is {supervised.folder.logs}/{victim}.out" in said


@pytest.mark.slow
def test_a_part_whose_end_ray_saw_and_passed_over_is_named(supervised: Supervised, plan: Callable[[str], None]) -> None:
    plan("look at what has ended, and wait")
    said = why_it_does_not_start_without(supervised, "raylet", SEEN_S)
    assert f"(raylet) ended; its log is {supervised.folder.logs}/raylet.out" in said


def test_a_part_that_ends_before_anybody_has_looked_is_named(
    supervised: Supervised, plan: Callable[[str], None]
) -> None:
    plan("start, end at once, and wait")
    assert "Ray's control plane (gcs_server) was ended by SIGKILL" in why_it_does_not_start(supervised)


@pytest.mark.parametrize("victim", ["gcs_server", "deployments.cluster.ray_process"])
def test_what_ray_itself_says_stands_beside(supervised: Supervised, plan: Callable[[str], None], victim: str) -> None:
    plan("raise when one has ended")
    said = why_it_does_not_start_without(supervised, victim)
    if victim == "gcs_server":
        assert "no GCS" in said
        assert "at all" not in said
        assert "(gcs_server) was ended by SIGKILL" in said
    else:
        assert said.startswith(
            "Ray did not start: the process that starts Ray was ended by SIGKILL; Ray's logs are in "
        )


def test_a_part_that_ends_later_ends_the_service_and_is_named(
    supervised: Supervised, plan: Callable[[str], None]
) -> None:
    plan("start")
    local = start_local(supervised, 1)
    os.kill(pid_of(supervised, "raylet"), signal.SIGKILL)
    said = local.wait(pytest.fail)
    assert said.startswith("Ray ended by itself (Ray's ")
    assert f"(raylet) was ended by SIGKILL; its log is {supervised.folder.logs}/raylet.out" in said
    assert supervised.wait() == RAY_ENDED


@pytest.mark.slow
def test_a_dashboard_that_ends_is_told_and_the_service_goes_on(
    supervised: Supervised, plan: Callable[[str], None]
) -> None:
    plan("start")
    local = start_local(supervised, 1)
    dashboard = pid_of(supervised, "dashboard.py")
    time.sleep(SEEN_S)  # the guardian knows it from its command, which an ended one has no more
    os.kill(dashboard, signal.SIGKILL)
    assert "Ray's dashboard (dashboard/dashboard.py) was ended by SIGKILL" in str(local.why_silent())
    assert local.why_silent() is None
    assert supervised.status() is None

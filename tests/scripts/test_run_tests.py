from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from models.catalog.paths import ROOT
from scripts import run_tests
from scripts.run_tests import FAILURE_CHARS, LANES, Run
from tests.integration.waiting import wait

RUNS = [run for lane in LANES for run in lane]
FILES = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py"))


def collects(run: Run, file: Path) -> bool:
    ignored = [argument.removeprefix("--ignore=") for argument in run.arguments if argument.startswith("--ignore=")]
    taken = [argument for argument in run.arguments if not argument.startswith("--")]
    return any(map(file.is_relative_to, taken)) and not any(map(file.is_relative_to, ignored))


def test_every_test_is_in_one_run_and_in_no_other() -> None:
    runs = {str(file): [run.name for run in RUNS if collects(run, file)] for file in FILES}
    assert len(runs) > 100
    assert {file: names for file, names in runs.items() if len(names) != 1} == {}


@pytest.mark.parametrize("run", RUNS, ids=[run.name for run in RUNS])
def test_what_a_run_names_exists(run: Run) -> None:
    paths = [argument.removeprefix("--ignore=") for argument in run.arguments]
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """The run of one test module, given as its text."""

    def started(text: str, limit_s: float = 60) -> Run:
        folder = tmp_path / "tests"
        folder.mkdir()
        (folder / "test_it.py").write_text(text)
        found = Run("some", ["tests", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", "/dev/null"])
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they take a second to import
        found.run(time.monotonic() + limit_s)
        return found

    return started


def test_the_end_of_the_log_names_each_failed_test_and_its_reason(
    run: Callable[..., Run], capfd: pytest.CaptureFixture[str]
) -> None:
    said = (
        "def test_that_fails():\n    print('ERROR of a service')\n    assert 1 == 2, 'one is ' + 100 * 'not ' + 'two'\n"
    )
    done = run(said)
    reason = f"AssertionError: one is {100 * 'not '}two"
    assert done.failures == [f"FAILED tests/test_it.py::test_that_fails - {reason}"[:FAILURE_CHARS]]
    assert done.status == 1
    assert "some    | ERROR of a service" in capfd.readouterr().out


def test_a_test_that_stands_still_outside_python_is_ended_and_its_line_is_shown(
    run: Callable[..., Run], capfd: pytest.CaptureFixture[str]
) -> None:
    done = run("import ctypes\ndef test_that_hangs():\n    ctypes.CDLL(None).pause()\n", limit_s=5)
    assert done.status == -signal.SIGABRT
    assert done.failures == ["STOOD STILL; its stacks are above"]
    assert "in test_that_hangs" in capfd.readouterr().out


def test_a_run_that_does_not_end_after_its_last_test_keeps_their_verdict_and_is_told(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_tests, "FAREWELL_S", 1)
    done = run("import threading\ndef test_it():\n    threading.Thread(target=threading.Event().wait).start()\n")
    assert done.status == 0
    assert done.failures == ["STOOD STILL after its last test; its stacks are above"]
    assert "1 passed" in done.closing
    assert "in wait" in capfd.readouterr().out


def test_a_forked_process_that_outlives_its_run_is_named_and_ended(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_tests, "LAST_WORDS_S", 1)
    begin = time.monotonic()
    done = run("import os, time\ndef test_it():\n    if os.fork() == 0:\n        time.sleep(1000)\n")
    assert (done.status, time.monotonic() - begin < 60) == (0, True)
    assert [line[:20] for line in done.failures] == ["LEFT BEHIND process "]
    assert "1 passed" in done.closing


def test_a_run_says_which_folders_took_longest(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom tests.time_by_folder import TimeByFolder\n"
        "def pytest_configure(config):\n    config.pluginmanager.register(TimeByFolder())\n"
    )
    for folder, worked in (("idle", 0), ("busy", 0.5)):
        (tmp_path / folder).mkdir()
        text = f"import time\ndef test_{folder}():\n    end = time.process_time() + {worked}\n    while time.process_time() < end: pass\n"
        (tmp_path / folder / f"test_{folder}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    table = [line.split() for line in said.partition("slowest folders")[2].splitlines()]
    first, second = (row for row in table if len(row) == 3)
    assert (first[2], second[2]) == ("busy", "idle")
    assert float(first[1]) >= 0.5


MARKED = """
import os, subprocess, sys, time
import pytest

@pytest.fixture
def service():
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)"
    started = [subprocess.Popen(["sleep", "1000"], start_new_session=True)]
    started += [subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True)]
    yield [os.getpid(), *(one.pid for one in started)]
    open("fixtures", "w").close()

def test_that_lasts(service):
    HOW
    open("started.new", "w").write(" ".join(map(str, service)))
    os.rename("started.new", "started")
    time.sleep(1000)
"""
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@pytest.mark.parametrize(
    ("ending", "deaf"),
    [
        pytest.param(signal.SIGTERM, False, id="a service manager"),
        pytest.param(signal.SIGHUP, False, id="a closed terminal"),
        pytest.param(signal.SIGINT, True, id="Ctrl-C, to which a test does not listen"),
    ],
)
def test_who_ends_the_suite_ends_its_runs_and_whatever_they_started(
    tmp_path: Path, ending: signal.Signals, deaf: bool
) -> None:
    (tmp_path / "test_it.py").write_text(MARKED.replace("HOW", DEAF if deaf else ""))
    arguments = ["test_it.py", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", "/dev/null"]
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from scripts import left_processes, run_tests\n"
        "run_tests.GOODBYE_S = left_processes.PATIENCE_S = 0.5\n"
        f"run_tests.LANES = [[run_tests.Run('one', {arguments}), run_tests.Run('two', {arguments})]]\n"
        "sys.exit(run_tests.main())"
    )
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    suite = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    started = tmp_path / "started"
    try:
        wait("the tests", started.exists)
        processes = [int(word) for word in started.read_text().split()]
        assert all(map(alive, processes))
        started.unlink()
    finally:
        suite.send_signal(ending)
        said, _ = suite.communicate(timeout=60)
    assert suite.returncode == 1
    assert not any(map(alive, processes))
    assert not started.exists()
    assert "two     | did not run" in said
    assert (tmp_path / "fixtures").exists() != deaf

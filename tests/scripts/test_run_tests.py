from __future__ import annotations

from pathlib import Path

import pytest

from models.catalog.paths import ROOT
from scripts.run_tests import FAILURE_CHARS, LANES, Run

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


def test_the_end_of_the_log_names_each_failed_test_and_its_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_it.py").write_text(
        "def test_that_fails():\n    print('ERROR of a service')\n    assert 1 == 2, 'one is ' + 100 * 'not ' + 'two'\n"
    )
    run = Run("some", ["tests", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", "/dev/null"])
    with pytest.MonkeyPatch.context() as moved:
        moved.chdir(tmp_path)
        run.run()
    reason = f"AssertionError: one is {100 * 'not '}two"
    assert run.failures == [f"FAILED tests/test_it.py::test_that_fails - {reason}"[:FAILURE_CHARS]]
    assert run.status == 1
    assert "some    | ERROR of a service" in capfd.readouterr().out

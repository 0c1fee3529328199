from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.report.quiet import Meter, quietness, unfair
from bench.systems.server import Server

BUSY = "while True: pass"


def test_what_others_take_is_told_apart_from_what_the_server_takes(tmp_path: Path) -> None:
    server = Server("busy", [sys.executable, "-c", BUSY], 1, tmp_path / "log", {})
    other = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        while not sum(server.mark.cpu_seconds().values()):
            time.sleep(0.05)
        meter = Meter(server)
        time.sleep(1)
        service, others = meter.read(0)
    finally:
        other.kill()
        other.wait()
        server.stop()
    assert service > 0.2
    assert others > 0.2
    assert not quietness([others])[0]


def test_a_quiet_machine_is_called_quiet() -> None:
    assert quietness([0.02, 0.1])[0]
    quiet, sentence = quietness([0.02, 0.11])
    assert not quiet
    assert "1 of 2 measurements, 0.11 at most" in sentence


def test_systems_of_different_niceness_are_named() -> None:
    assert unfair({"ours": [0], "naive": [0]}) is None
    assert unfair({"ours": [0], "naive": [0, 15]}) == (
        "UNFAIR: not all processes have the same niceness: ours: 0; naive: 0, 15"
    )


def test_a_run_of_some_loads_is_not_published(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--publish", "--loads", "overload"])
    assert "--publish keeps whole runs" in capsys.readouterr().err

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deployments.contract.reply import Stages
from deployments.observability import access_log
from deployments.observability.access_log import AccessLog
from deployments.observability.request_record import Record

NUMBERED = [f"id-{i}" for i in range(5)]


def note(log: AccessLog, request_id: str, record: Record | None = None) -> None:
    log.note(request_id, "POST", "/v1/embeddings", "shop", 200, 0.0123456, record or Record(), None)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_nothing_is_on_the_disk_until_it_is_written(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "logs" / "access.log", "replica")
    note(log, "a")
    assert not list(tmp_path.iterdir())
    log.write(log.take())
    note(log, "b")
    log.close()
    assert [line["request_id"] for line in lines(tmp_path / "logs" / "access.log")] == ["a", "b"]


def test_a_line_that_comes_while_others_are_written_is_written_next(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "access.log", "replica")
    note(log, "a")
    taken = log.take()
    note(log, "b")
    log.write(taken)
    log.write(log.take())
    assert [line["request_id"] for line in lines(tmp_path / "access.log")] == ["a", "b"]


def test_a_line_says_where_the_time_went_in_milliseconds(tmp_path: Path) -> None:
    record = Record(model="m", version="1", items=2)
    record.passed(0.001, Stages(queue_s=0.002, preprocess_s=0.0004, inference_s=0.005))
    log = AccessLog(tmp_path / "access.log", "replica")
    note(log, "a", record)
    log.close()
    (line,) = lines(tmp_path / "access.log")
    times = {name: line[f"{name}_ms"] for name in ("queue", "preprocess", "inference", "total")}
    assert times == {"queue": 3.0, "preprocess": 0.4, "inference": 5.0, "total": 12.35}
    assert (line["model"], line["client"], line["replica"]) == ("m", "shop", "replica")


def test_more_than_a_slow_disk_takes_is_counted_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "KEPT", 3)
    log = AccessLog(tmp_path / "access.log", "replica")
    for name in NUMBERED:
        note(log, name)
    log.write(log.take())
    *kept, last = lines(tmp_path / "access.log")
    assert [line["request_id"] for line in kept] == NUMBERED[:3]
    assert (last["message"], last["lines"]) == ("dropped", 2)
    note(log, "later")
    log.close()
    assert lines(tmp_path / "access.log")[-1]["request_id"] == "later"


def test_a_file_that_grew_makes_room_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "FILE_BYTES", 1000)
    log = AccessLog(tmp_path / "access.log", "replica")
    for _ in range(20):
        note(log, "a")
        log.write(log.take())
    log.close()
    assert len(list(tmp_path.iterdir())) == access_log.FILES


def test_a_folder_that_cannot_be_made_costs_its_lines_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    log = AccessLog(tmp_path / "logs" / "access.log", "replica")
    note(log, "a")
    log.write(log.take())
    assert "lines of the access log are lost" in caplog.text


def test_a_full_disk_is_said_once_and_when_it_has_room_again_how_many_lines_it_cost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "access.log"
    path.symlink_to("/dev/full")
    log = AccessLog(path, "replica")
    for name in NUMBERED:
        note(log, name)
        log.write(log.take())
    assert len([record for record in caplog.records if "No space left on device" in record.getMessage()]) == 1
    assert capfd.readouterr().err == ""
    path.unlink()
    log._handler = None  # as a file that is rotated
    note(log, "later")
    log.close()
    assert [(line.get("request_id"), line.get("lines")) for line in lines(path)] == [("later", None), (None, 5)]

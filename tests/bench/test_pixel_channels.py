from __future__ import annotations

import re

import pytest

from bench.pixel_channels.__main__ import measure


@pytest.mark.slow
async def test_each_way_brings_every_row_whole_and_its_time_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    await measure(0.2, ray=False)
    rows = re.findall(
        r"^\| (grpc\.aio|our frames|slots) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", capsys.readouterr().out, re.M
    )
    assert [row[0] for row in rows] == ["grpc.aio", "our frames", "slots"]
    assert all(float(figure) > 0 for row in rows for figure in row[1:])

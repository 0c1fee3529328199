"""Who asks for bytes gets them, and nobody else."""

from __future__ import annotations

import pytest

from deployments.http.accept import prefers

RAW, JSON = "application/octet-stream", "application/json"


@pytest.mark.parametrize(
    ("accept", "raw"),
    [
        (RAW, True),
        (f"{RAW}; q=0.5", True),
        (RAW.upper(), True),
        (f"{RAW}, {JSON}", True),
        (f"{JSON}, {RAW}", False),
        (f"{JSON};q=0.5, {RAW}", True),
        (f"{RAW};q=0.5, {JSON}", False),
        (f"{RAW};q=0, {JSON}", False),
        (f"{RAW}; q=0", False),
        (f"text/html, {RAW}", True),
        (f"{RAW}; q=many", True),
        (f"{RAW}; q=nan", True),
        ("*/*", False),
        ("application/*", False),
        (JSON, False),
        (f"x{RAW}", False),
        ("", False),
        (",;=,", False),
    ],
)
def test_bytes_are_for_those_who_name_them_and_like_them_no_less(accept: str, raw: bool) -> None:
    assert prefers(accept, RAW, JSON) is raw

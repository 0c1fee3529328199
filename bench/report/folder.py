"""Where results are kept."""

from __future__ import annotations

import time
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"


def result_path(name: str) -> Path:
    """``bench/results/20250131-235959-NAME``, in a folder that exists; the time is now."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    return RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"

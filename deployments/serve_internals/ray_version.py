"""The version of Ray that the seams were written against and are tested with."""

from __future__ import annotations

from typing import Final

import ray

PINNED: Final = "2.60.0"  # as in pyproject.toml


def installed() -> str:
    """The version of Ray that runs here."""
    return str(ray.__version__)

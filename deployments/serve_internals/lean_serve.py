"""Serve does without pandas.

It imports pandas wherever it finds it, only to know what a DataFrame is, in each of the dozen processes of a service: a start of the
shipped configuration took 37.6 s instead of 33.4 on two cores, and 44 s of processor time instead of 38.6. The `data` extra brings
pandas for backfills. In ``without_pandas`` lies a module that is found before it,
refuses itself to Serve, as where pandas is not installed, and gives the real one to everybody else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

VARIABLE: Final = "PYTHONPATH"
FOLDER: Final = Path(__file__).with_name("without_pandas")


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """What Ray's processes must start with, beside what an operator set."""
    others = environment.get(VARIABLE)
    return {VARIABLE: f"{FOLDER}{os.pathsep}{others}" if others else str(FOLDER)}


def in_effect(environment: Mapping[str, str]) -> bool:
    """Whether a node was started with it."""
    return str(FOLDER) in environment.get(VARIABLE, "").split(os.pathsep)

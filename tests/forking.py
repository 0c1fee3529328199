"""Processes forked from one that has imported what they need: an interpreter that starts for each of them takes seconds."""

from __future__ import annotations

import multiprocessing

FORKING = multiprocessing.get_context("forkserver")
_loaded: list[str] = []


def preload(*modules: str) -> None:
    """Have the process that all are forked from import more; it starts with the first of them."""
    _loaded.extend(name for name in modules if name not in _loaded)
    FORKING.set_forkserver_preload(_loaded)

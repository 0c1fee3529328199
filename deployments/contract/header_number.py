"""Numbers in headers that a stranger wrote: every one is read here, in bounded time, and what is none is told apart."""

from __future__ import annotations

import re

WHOLE = re.compile(r"[0-9]{1,15}")  # a petabyte: Python refuses to read more than 4,300 digits, and str.isdigit takes ²
DECIMAL = re.compile(r"\+?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})(?:[eE][+-]?[0-9]{1,2})?")


def whole_number(value: str) -> int | None:
    """A whole number from 0 in ASCII digits; None for anything else."""
    return int(value) if WHOLE.fullmatch(value) else None


def decimal_number(value: str) -> float | None:
    """A finite number from 0 in ASCII, as JSON writes it or nearly so; None for anything else."""
    return float(value) if DECIMAL.fullmatch(value) else None

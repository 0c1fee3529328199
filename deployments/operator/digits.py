"""Numbers as people read them."""

from __future__ import annotations


def digits(value: float) -> str:
    """Three digits of a number, or all before its point where there are more: 0.012, 3.75, 3750."""
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"

"""What callers sent, short enough to be said back to them."""

from __future__ import annotations

from reprlib import Repr
from typing import Any

MOST = 40  # characters of a string
_BRIEF = Repr()
_BRIEF.maxlevel, _BRIEF.maxlist, _BRIEF.maxdict = 2, 3, 3
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = MOST


def short_repr(value: Any) -> str:
    """A value as Python writes it, cut: ``repr`` itself ends in a RecursionError on JSON of a thousand levels."""
    return _BRIEF.repr(value)

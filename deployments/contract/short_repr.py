"""What a caller sent, short enough to be quoted in the answer."""

from __future__ import annotations

from reprlib import Repr
from typing import Any

MOST = 40  # characters of a string
_BRIEF = Repr()
_BRIEF.maxlevel, _BRIEF.maxlist, _BRIEF.maxdict = 2, 3, 3
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = MOST


def short_repr(value: Any) -> str:
    """A value as Python writes it, shortened; also JSON of a thousand levels, on which ``repr`` raises RecursionError."""
    return _BRIEF.repr(value)

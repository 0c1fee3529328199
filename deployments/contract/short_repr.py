"""What a caller sent, short enough to be quoted in the answer."""

from __future__ import annotations

from reprlib import Repr
from typing import Any, Final

MOST = 40  # characters of a string
KINDS: Final = (
    (bool, "true or false"),  # which Python counts as numbers
    (int | float, "a number"),
    (str, "a string"),
    (list, "a list"),
    (dict, "an object"),
)


class _Brief(Repr):
    """Python's, but for the words that JSON has for the same."""

    def repr_bool(self, value: bool, _: int) -> str:
        return "true" if value else "false"

    def repr_NoneType(self, *_: object) -> str:  # noqa: N802 - named by Python after the type
        return "null"


_BRIEF = _Brief()
_BRIEF.maxlevel, _BRIEF.maxlist, _BRIEF.maxdict = 2, 3, 3
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = MOST


def short_repr(value: Any) -> str:
    """A value as Python writes it, shortened; also JSON of a thousand levels, on which ``repr`` raises RecursionError."""
    return _BRIEF.repr(value)


def kind_of(value: Any) -> str:
    """What a value of JSON is, in JSON's words."""
    return next((name for kind, name in KINDS if isinstance(value, kind)), "null")

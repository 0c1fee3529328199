"""Values of single fields of requests, each checked by itself."""

from __future__ import annotations

from typing import Any, Literal, cast, get_args

from deployments.contract.short_repr import short_repr
from models.errors import InputError
from models.validation import one_of

Encoding = Literal["float", "base64"]
Dtype = Literal["float", "int8", "uint8", "binary", "ubinary"]


def encoding_of(value: Any) -> Encoding:
    """Check ``encoding_format``.

    Raises:
        InputError: neither float nor base64.
    """
    if value is None or value == "float":
        return "float"
    if value == "base64":
        return "base64"
    raise InputError(f"encoding_format must be 'float' or 'base64', not {short_repr(value)}", param="encoding_format")


def dimensions_of(value: Any, name: str = "dimensions", *, text: bool = False) -> int | None:
    """The number of dimensions that a request asks for; ``text`` where the number stands in a query.

    Raises:
        InputError: not an integer.
    """
    if value is None:
        return None
    if text and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9:
        return int(value)
    if type(value) is not int:
        raise InputError(f"{name} must be an integer, not {short_repr(value)}", param=name)
    return value


def dtype_of(value: Any, name: str = "output_dtype") -> Dtype | None:
    """What the numbers of a vector are to be.

    Raises:
        InputError: none of those there are.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        return None
    if not isinstance(value, str) or value not in get_args(Dtype):
        raise InputError(f"{name} must be {one_of(get_args(Dtype))}, not {short_repr(value)}", param=name)
    return cast(Dtype, value)


def truncate_of(value: Any, name: str = "truncate") -> bool | None:
    """Whether what is too long may be cut; also as other services say it.

    Raises:
        InputError: something else, or to be cut at its beginning.
    """
    known = {None: None, True: True, False: False, "END": True, "NONE": False, "end": True, "none": False}
    if not isinstance(value, bool | str | None) or value not in known:
        raise InputError(
            f"{name} must be true ('END': what is too long is cut at its end) or false ('NONE': it is refused), not "
            f"{short_repr(value)}",
            param=name,
        )
    return known[value]


def flag_of(value: Any, name: str) -> bool | None:
    """A yes or no.

    Raises:
        InputError: neither.
    """
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{name} must be true or false, not {short_repr(value)}", param=name)
    return value


def text_of(value: Any, name: str) -> str | None:
    """A word.

    Raises:
        InputError: something else.
    """
    if value is not None and not isinstance(value, str):
        raise InputError(f"{name} must be a string, not {short_repr(value)}", param=name)
    return value or None

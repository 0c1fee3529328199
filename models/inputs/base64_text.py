"""Base64 as clients send it: either alphabet, with or without padding and line breaks."""

from __future__ import annotations

import base64

BREAKS = b"\r\n\t"  # MIME breaks lines at 76 characters, and so do `base64` and `openssl`
STANDARD, URL_SAFE = b"+/", b"-_"
LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
TO_STANDARD = bytes.maketrans(URL_SAFE, STANDARD)


def from_base64(text: str) -> bytes:
    """The bytes that base64 stands for.

    Raises:
        ValueError: it is none; the message says why.
    """
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return _leniently(text.strip())


def _leniently(text: str) -> bytes:
    """What the strict decoder refused, as far as only one meaning is possible."""
    try:
        raw = text.encode("ascii")
    except UnicodeEncodeError as error:
        raise ValueError(_foreign(text[error.start], error.start)) from None
    if rest := raw.translate(None, LETTERS + STANDARD + URL_SAFE + BREAKS + b"="):
        raise ValueError(_foreign(chr(rest[0]), raw.index(rest[:1])))
    raw = raw.translate(None, BREAKS)
    if _holds(raw, STANDARD) and _holds(raw, URL_SAFE):
        raise ValueError("it mixes '+' or '/' with '-' or '_', which belong to two alphabets")
    digits = raw.rstrip(b"=")
    if (at := digits.find(b"=")) >= 0:
        raise ValueError(f"padding ('=') stands at position {at}, before the end")
    if len(raw) - len(digits) > 2:
        raise ValueError("more than two '=' stand at its end")
    if len(digits) % 4 == 1:
        raise ValueError(f"its {len(digits)} characters are one too many or too few: it was cut off")
    return base64.b64decode(digits.translate(TO_STANDARD) + b"=" * (-len(digits) % 4))


def _holds(raw: bytes, characters: bytes) -> bool:
    return any(bytes((character,)) in raw for character in characters)


def _foreign(character: str, at: int) -> str:
    return f"character {character!r} at position {at} does not belong to base64"

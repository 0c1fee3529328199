"""What must not stand in a message: passwords and keys, and where strangers read it, paths."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HIDDEN = "***"
LONGEST = 300  # characters of a message for everybody: a reason, not a log
WORD = re.compile(r"[^\s'\"<>]+")
API_KEY = re.compile(r"\bes_[A-Za-z0-9_-]{20,}")
CREDENTIALS = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE)
SECRET_NAME = re.compile(r"passw|pwd|secret|token|credential|api.?key|authorization|signature", re.IGNORECASE)
PARAMETER = re.compile(r"([?&]([^=&\s]+)=)[^&#]*")
QUOTED_PATH = re.compile(r"(['\"])/(?:[^'\"\n]*/)?([^'\"/\n]*)\1")
PATH = re.compile(r"(?<![\w:/.~])/(?:[^\s'\"/,;:()]+/)+(?=[^\s'\"/,;:()])")


def redacted(text: str, *secrets: str | None) -> str:
    """A text without the passwords of URLs, API keys, and these secrets; every message that may hold a URL passes here."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    text = WORD.sub(_word, text) if "://" in text else text
    return CREDENTIALS.sub(rf"\1 {HIDDEN}", API_KEY.sub(f"es_{HIDDEN}", text))


def _word(match: re.Match[str]) -> str:
    scheme, colon, rest = match[0].partition("://")
    if not colon:
        return match[0]
    before, at, after = rest.rpartition("@")  # the last one: passwords hold others
    hidden = f"{HIDDEN}@{after}" if at and before else rest
    return scheme + colon + PARAMETER.sub(lambda p: p[1] + HIDDEN if SECRET_NAME.search(p[2]) else p[0], hidden)


def without_secrets(name: str, value: Any) -> Any:
    """A value of a configuration as messages may quote it: what stands under a secret's name is hidden.

    Args:
        name: of the key that holds it.
        value: a scalar, list or mapping.
    """
    if isinstance(value, dict):
        return {key: without_secrets(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(name, item) for item in value]
    return HIDDEN if isinstance(value, str) and SECRET_NAME.search(name) else value


def for_everybody(error: object, folders: Iterable[Path] = ()) -> str:
    """An error's first line as any client may read it: no secrets, and of paths only the last part.

    Args:
        error: the exception, or its message.
        folders: known ones, whose names may hold spaces.
    """
    lines = [line for line in str(error).splitlines() if line.strip()]
    text = redacted(lines[0].strip()) if lines else type(error).__name__
    for folder in folders:
        text = text.replace(f"{folder}/", "")
    text = PATH.sub("", QUOTED_PATH.sub(r"\1\2\1", text))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"

"""Durations as options give them."""

from __future__ import annotations

import re

from models.errors import ConfigError

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh]?)")


def parse_duration(text: str, option: str) -> float:
    """Seconds.

    Raises:
        ConfigError: it is no duration.
    """
    found = DURATION.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{option} {text!r} must be a number of seconds, minutes or hours, such as 90s, 10m or 1h")
    return float(found[1]) * UNITS[found[2] or "s"]

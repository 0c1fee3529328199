"""What went wrong, without the traceback that Ray puts before it."""

from __future__ import annotations

import re

ERROR_LINE = re.compile(r"^[\w.]*(Error|Exception)\b.*: ")  # the last line of a Python traceback


def last_line(message: str) -> str:
    """The last error of a traceback, or the last line of a message that is none."""
    lines = [line.strip() for line in message.splitlines() if line.strip(" .\t")]
    named = [i for i, line in enumerate(lines) if ERROR_LINE.match(line)]
    return " ".join(lines[named[-1] : named[-1] + 3]) if named else (lines or ["no reason given"])[-1]

"""One thing that was looked at, and what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from models.errors import EmbedserveError
from models.redaction import redacted

Level = Literal["good", "note", "wrong"]  # wrong: the service does not start, or not as it is meant


@dataclass(frozen=True)
class Finding:
    """What was found, in words, with what to do."""

    about: str
    level: Level
    what: str
    remedy: str = ""


Check = Callable[[], Iterable[Finding]]


def looked(about: str, check: Check) -> Iterator[Finding]:
    """The findings of a check; one that cannot look says why, and the others go on."""
    try:
        for finding in check():
            yield Finding(finding.about, finding.level, redacted(finding.what), redacted(finding.remedy))
    except (EmbedserveError, OSError, ValueError) as error:
        yield Finding(about, "wrong", redacted(str(error)))

"""What keeps a start from its end, told once each when it has lasted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from deployments.cluster.remedies import with_remedy

PATIENCE_S = 5.0  # what a start overcomes by itself in this time nobody needs to hear
DIFFERING = re.compile(r"[0-9a-f]{6,}|\d+")  # in which one complaint differs from time to time


@dataclass
class Heard:
    """A complaint, and since when it has been made."""

    text: str
    since: float
    lasting: bool  # it holds until the start is over, as what a log says does
    told: bool = False


@dataclass
class Complaints:
    """All of a start."""

    note: Callable[[str], None]
    patience_s: float = PATIENCE_S
    _heard: dict[str, Heard] = field(default_factory=dict)

    @property
    def told(self) -> list[str]:
        """Those that were told, with their remedies."""
        return [heard.text for heard in self._heard.values() if heard.told]

    def hear(self, lasting: Iterable[str], passing: Iterable[str], now: float, since: float | None = None) -> None:
        """Take what is said now, and tell what has been said for a while.

        Args:
            lasting: said once and for all.
            passing: true as long as it is said.
            now: seconds, of a clock that only goes forward.
            since: when it was asked for what is said; an answer may take as long as the complaint lasts.
        """
        said = {**dict.fromkeys(passing, False), **dict.fromkeys(lasting, True)}
        new = {
            DIFFERING.sub("#", text): Heard(with_remedy(text), now if since is None else since, lasts)
            for text, lasts in said.items()
        }
        kept = {key: heard for key, heard in self._heard.items() if heard.lasting or heard.told or key in new}
        self._heard = {**new, **kept}
        for heard in self._heard.values():
            if not heard.told and now - heard.since >= self.patience_s:
                heard.told = True
                self.note(heard.text)

"""What an audit found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SHOWN = 20  # findings of each kind that are listed


@dataclass
class Audit:
    """What was found."""

    rows: int = 0
    sampled: int = 0
    made_by: Counter[str] = field(default_factory=Counter)  # of the sample: whose bits they are
    verdicts: Counter[str] = field(default_factory=Counter)
    findings: list[dict[str, Any]] = field(default_factory=list)

    def note(self, verdict: str, row: Mapping[str, Any]) -> None:
        """Count something that is not as it should be."""
        self.verdicts[verdict] += 1
        if self.verdicts[verdict] <= SHOWN:
            self.findings.append({"verdict": verdict, **row})

    @property
    def clean(self) -> bool:
        """Whether every row is what it says."""
        return not set(self.verdicts) - {"exact"}

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "rows": self.rows,
            "sampled": self.sampled,
            "verdicts": dict(self.verdicts),
            "made_by": dict(self.made_by),
            "findings": self.findings,
        }

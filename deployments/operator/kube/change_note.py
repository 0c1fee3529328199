"""The note on a RayService that says which command changed its Serve configuration last: an annotation.

It is written in the same patch as the configuration and names that configuration's hash. Whoever changes the
configuration otherwise (``kubectl apply``, a GitOps controller) leaves a note that no longer fits, and so no claim.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from deployments.operator.lock import Claim

ANNOTATION = "embedserve/last-change"


@dataclass(frozen=True)
class ChangeNote:
    """The number of a change, the command that made it, and the hash of the text that it left."""

    revision: int
    claim: dict[str, Any]
    fingerprint: str  # of the text
    rollouts: dict[str, Any] = field(default_factory=dict)  # by model

    @classmethod
    def of(cls, revision: int, claim: Claim, text: str, rollouts: dict[str, Any] | None = None) -> ChangeNote:
        """The note for a text."""
        return cls(revision, asdict(claim), fingerprint(text), rollouts or {})

    @classmethod
    def read(cls, annotations: dict[str, str] | None) -> ChangeNote | None:
        """The note among annotations; none where there is none, or another version of this tool wrote it."""
        try:
            return cls(**json.loads((annotations or {})[ANNOTATION]))
        except (KeyError, ValueError, TypeError):
            return None

    def write(self) -> str:
        """The annotation's value."""
        written = asdict(self)
        if not self.rollouts:  # commands of the release before do not know them, and would take the note for no note
            del written["rollouts"]
        return json.dumps(written)

    def fits(self, text: str) -> bool:
        """Whether the text is the one that was written with this note."""
        return self.fingerprint == fingerprint(text)


def fingerprint(text: str) -> str:
    """A short hash of a configuration's text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]

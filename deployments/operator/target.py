"""What commands change: a service by Serve's REST API, or by the RayService that KubeRay keeps it to."""

from __future__ import annotations

from typing import Any, Protocol

from deployments.operator.document import Document
from deployments.operator.lock import Claim
from deployments.operator.served import Entry

PATIENCE_S = 30.0  # with a restart of Serve's controller, which takes less


class Target(Protocol):
    """A running service and where its configuration is kept."""

    @property
    def atomic(self) -> bool:
        """Whether a write that somebody else forestalled is refused, rather than noticed afterwards."""

    def look(self) -> tuple[dict[str, Any], Document]:
        """What is reported of the applications, and the document that was last asked for."""

    def read(self, patience_s: float = 0) -> Document:
        """The document that was last asked for; with patience also while the other side restarts."""

    def write(self, document: Document, patience_s: float = 0) -> None:
        """Ask for a document; the cluster converges in the background."""

    def url(self, document: Document) -> str:
        """Where the service answers; empty where that is not known."""

    def versions(self, document: Document) -> list[Entry]:
        """Versions as ``/v1/models`` describes them; a hash of None is one that nobody said."""

    def begin(self, document: Document) -> int:
        """Prepare for a change of this document, and give its number."""

    def ended(self, number: int, claim: Claim, result: str) -> str:
        """Note how a change ended; what could not be noted, as a sentence."""

"""What a RayService holds of a Serve configuration: its text, and the note of the command that wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import yaml

from deployments.operator import lock
from deployments.operator.document import Document, gateway
from deployments.operator.kube.api import Resource
from deployments.operator.kube.change_note import ANNOTATION, ChangeNote
from deployments.operator.kube.history import ELSEWHERE, Revision
from deployments.operator.lock import Claim
from deployments.operator.plan import BOOKKEEPING
from models.errors import ConfigError
from models.yaml_edit import edit


@dataclass(frozen=True)
class Standing:
    """A configuration as it stands in a RayService, or is to stand there."""

    text: str  # serveConfigV2
    note: ChangeNote | None

    @classmethod
    def of(cls, resource: Resource) -> Standing:
        """Of a RayService as the API server gave it."""
        text = (resource.get("spec") or {}).get("serveConfigV2") or ""
        return cls(text, ChangeNote.read(resource["metadata"].get("annotations")))

    def document(self, where: str) -> Document:
        """The configuration, with the commands' notes where ``RunningService`` has them.

        Raises:
            ConfigError: it is none.
        """
        try:
            document: Any = yaml.safe_load(self.text)
        except yaml.YAMLError as error:
            raise ConfigError(f"{where}: serveConfigV2 is no YAML: {error}") from error
        if not isinstance(document, dict) or not document.get("applications"):
            raise ConfigError(f"{where}: serveConfigV2 has no applications")
        notes = gateway(document)
        notes.pop("previous", None)
        notes["revision"] = self.note.revision if self.note else 0
        if self.note and self.note.fits(self.text):
            notes["previous"] = {lock.KEY: self.note.claim}
            if self.note.rollouts:
                notes["previous"][lock.ROLLOUTS] = self.note.rollouts
        return document

    def patch(self, resource: Resource) -> Resource:
        """The merge patch that makes it stand in a RayService, while that one's ``resourceVersion`` is what was read."""
        assert self.note is not None, "every command leaves its note"
        metadata = {
            "resourceVersion": resource["metadata"]["resourceVersion"],
            "annotations": {ANNOTATION: self.note.write()},
        }
        return {"metadata": metadata, "spec": {"serveConfigV2": self.text}}

    def revision(self, number: int) -> Revision:
        """What stands, as a revision of whoever wrote it."""
        if self.note and self.note.fits(self.text):
            claim = Claim(**self.note.claim)
            return Revision(number, claim.at, claim.by, claim.command, "found", self.text)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Revision(number, now, ELSEWHERE, "", "found", self.text)


def as_text(document: Document, standing: Standing, original: Standing | None) -> str:
    """A configuration as text: the original one where it is that, otherwise with the comments that stand."""
    bare = yaml.safe_load(yaml.safe_dump(document))
    for key in BOOKKEEPING:
        gateway(bare).pop(key, None)
    for known in (original, standing):
        if known and yaml.safe_load(known.text) == bare:
            return known.text
    return edit(standing.text, bare) or yaml.safe_dump(bare, sort_keys=False, default_flow_style=None, width=120)

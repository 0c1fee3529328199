"""Who changes the service right now, and who did last: a note in the gateway's user_config that every operator sees.

Serve's REST API has no compare-and-swap. Each command reads the revision, looks again right before it writes, marks what
it writes as its own, and looks at that mark in every poll until it is done. Of two that write in the same moment the
later one stands and the earlier one is told.
"""

from __future__ import annotations

import copy
import getpass
import os
import socket
import time
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from deployments.operator.document import Document, gateway
from deployments.operator.plan import visible
from models.errors import EmbedserveError

KEY = "@last"  # inside `previous`; no model name holds an '@'
SETTLE_S = 1.0  # longer than the moment between another operator's last look and its write
State = Literal["running", "done", "went back"]


class ConflictError(EmbedserveError):
    """Another operator changes the service, or changed it in between."""


@dataclass(frozen=True)
class Mark:
    """One command's signature."""

    id: str
    by: str
    at: str  # ISO 8601, UTC
    command: str
    until: float  # Unix seconds after which a command that is still `running` counts as lost
    state: State = "running"

    def __str__(self) -> str:
        """Who did what, and when."""
        return f"{self.by} ran `{self.command}` at {self.at}"

    def ended(self, state: State) -> Mark:
        """The same signature after the command."""
        return replace(self, state=state)


def sign(command: str, lease_s: float) -> Mark:
    """A new signature of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = f"uid {os.getuid()}"
    by = f"{user}@{socket.gethostname()} (pid {os.getpid()})"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Mark(uuid.uuid4().hex, by, now, command, time.time() + lease_s)


def revision(document: Document) -> int:
    """How many changes these commands made."""
    return int(gateway(document).get("revision") or 0)


def mark(document: Document) -> Mark | None:
    """The last command's signature, unless something else deployed the document."""
    note: Any = gateway(document).get("previous", {}).get(KEY)
    try:
        return Mark(**note) if note else None
    except TypeError:  # written by another version of this tool
        return None


def stamp(document: Document, number: int, signature: Mark, previous: dict[str, Any]) -> Document:
    """The document as this command deploys it, with the earlier states that ``rollback`` may come back to."""
    stamped = copy.deepcopy(document)
    gateway(stamped).update(revision=number, previous={**copy.deepcopy(previous), KEY: asdict(signature)})
    return stamped


def require_idle(document: Document) -> None:
    """Refuse to start while another command is at work.

    Raises:
        ConflictError: names it.
    """
    last = mark(document)
    if last and last.state == "running" and time.time() < last.until:
        raise ConflictError(
            f"another change is under way: {last}; nothing was changed here, try again when it is done "
            f"(it counts as lost in {last.until - time.time():.0f} s)"
        )


def require_same(seen: Document, now: Document) -> None:
    """Refuse to write over what changed since it was read.

    Raises:
        ConflictError: says who was faster.
    """
    require_idle(now)
    if (revision(seen), mark(seen)) != (revision(now), mark(now)) or visible(seen) != visible(now):
        raise ConflictError(f"{_other(now)} while this command was preparing; nothing was changed here, try again")


def require_ours(now: Document, signature: Mark) -> None:
    """Stop when another operator's document stands in place of ours.

    Raises:
        ConflictError: says whose; this command's change is not, or not wholly, in effect.
    """
    last = mark(now)
    if last is None or last.id != signature.id:
        raise ConflictError(f"{_other(now)} over this one, and theirs stands; look at `embedserve status`, try again")


def _other(document: Document) -> str:
    last = mark(document)
    return str(last) if last else "another tool (`serve deploy`?) deployed a configuration"

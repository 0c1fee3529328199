"""Who changes the service now, or did so last: a claim in the gateway's user_config that every operator's command reads.

Serve's REST API has no compare-and-swap. A command reads the revision, reads it again right before it writes, puts its
own claim into what it writes, and checks in every poll that this claim still stands. Of two commands that write at the
same moment, the later one wins and the earlier one is told.
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

from deployments.operator.claimant import has_ended, signature
from deployments.operator.document import Document, gateway
from deployments.operator.plan import visible
from models.errors import EmbedserveError

KEY = "@last"  # in `previous`, beside names of models, none of which holds an '@'
ROLLOUTS = "@rollouts"  # in `previous` too: each model's last rollout
SETTLE_S = 1.0  # more than another command needs from its last read to its write
State = Literal["running", "done", "went back"]


class ConflictError(EmbedserveError):
    """Another operator changes the service, or changed it in between."""


class OvertakenError(ConflictError):
    """Another operator changed the service before this command changed anything."""


@dataclass(frozen=True)
class Claim:
    """One command, and whether it is still at work."""

    id: str  # and behind it, what tells its process from others
    by: str
    at: str  # ISO 8601, UTC
    command: str
    until: float  # Unix seconds; a command that is `running` after them counts as lost
    state: State = "running"

    def __str__(self) -> str:
        """Who did what, and when."""
        return f"{self.by} ran `{self.command}` at {self.at}"

    def ended(self, state: State) -> Claim:
        """The claim of the same command once it is over."""
        return replace(self, state=state)


def new_claim(command: str, lease_s: float) -> Claim:
    """A claim of this process, which counts for ``lease_s`` seconds."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = f"uid {os.getuid()}"
    by = f"{user}@{socket.gethostname()} (pid {os.getpid()})"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Claim(f"{uuid.uuid4().hex}/{signature()}", by, now, command, time.time() + lease_s)


def revision(document: Document) -> int:
    """How many changes these commands made."""
    return int(gateway(document).get("revision") or 0)


def last_claim(document: Document) -> Claim | None:
    """The claim of the command that deployed a document; none when another tool did."""
    note: Any = gateway(document).get("previous", {}).get(KEY)
    try:
        return Claim(**note) if note else None
    except TypeError:  # another version of this tool wrote it
        return None


def with_claim(document: Document, number: int, claim: Claim, previous: dict[str, Any]) -> Document:
    """The document with a command's claim and revision, and the earlier states that ``rollback`` may return to."""
    claimed = copy.deepcopy(document)
    gateway(claimed).update(revision=number, previous={**copy.deepcopy(previous), KEY: asdict(claim)})
    return claimed


def require_idle(document: Document) -> None:
    """Refuse to start while another command is at work.

    Raises:
        ConflictError: names it.
    """
    last = last_claim(document)
    if last and last.state == "running" and time.time() < last.until and not has_ended(last.id.partition("/")[2]):
        raise ConflictError(
            f"another change is under way: {last}; nothing was changed here, try again when it is done "
            f"(it counts as lost in {last.until - time.time():.0f} s)"
        )


def require_same(seen: Document, now: Document) -> None:
    """Refuse to overwrite a document that changed since it was read.

    Raises:
        ConflictError: says who was faster.
    """
    require_idle(now)
    if (revision(seen), last_claim(seen)) != (revision(now), last_claim(now)) or visible(seen) != visible(now):
        raise OvertakenError(overtaken(now))


def overtaken(now: Document) -> str:
    """What to tell whose change came too late."""
    return f"{last_change(now)} while this command was preparing; nothing was changed here, try again"


def require_ours(now: Document, claim: Claim) -> None:
    """Stop when another operator's document has replaced ours.

    Raises:
        ConflictError: names that operator; this command's change is not in effect, or only in part.
    """
    last = last_claim(now)
    if last is None or last.id != claim.id:
        raise ConflictError(
            f"{last_change(now)} over this one, and theirs stands; look at `embedserve status`, try again"
        )


def last_change(document: Document) -> str:
    """Who deployed a document, and by which command."""
    last = last_claim(document)
    return str(last) if last else "another tool (`serve deploy`, `kubectl`?) deployed a configuration"

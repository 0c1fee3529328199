"""What a rollout writes in one go: that it is paused, taken over, or undone."""

from __future__ import annotations

import os
import re
import socket

from deployments.operator import lock
from deployments.operator.document import Document, gateway
from deployments.operator.lock import Claim
from deployments.operator.rollout import state
from deployments.operator.rollout.state import Rollout
from deployments.operator.target import PATIENCE_S, Target

LEASE_S = 30.0


def write_note(target: Target, current: Document, rollout: Rollout, command: str) -> None:
    """Write where a rollout stands into the configuration, whose traffic stays as it is.

    Raises:
        ConflictError: another command is at work, or was faster.
    """
    write(target, current, state.noted(current, rollout), command)


def write(target: Target, current: Document, document: Document, command: str) -> Claim:
    """Ask for a document at once, without waiting until it is in force; the claim under which it stands.

    Raises:
        ConflictError: another command is at work, or was faster.
    """
    if not abandoned(current):
        lock.require_idle(current)
        lock.require_same(current, target.read())
    number = target.begin(current)
    claim = lock.new_claim(command, LEASE_S).ended("done")
    target.write(lock.with_claim(document, number, claim, gateway(document)["previous"]), PATIENCE_S)
    target.ended(number, claim, "done")
    return claim


def abandoned(document: Document) -> bool:
    """Whether the change that is under way is a rollout's, whose process on this machine has died."""
    last = lock.last_claim(document)
    return last is not None and last.state == "running" and last.command.startswith("rollout ") and _dead(last)


def _dead(claim: Claim) -> bool:
    found = re.search(r"@(\S+) \(pid (\d+)\)$", claim.by)
    if found is None or found[1] != socket.gethostname():
        return False
    try:
        os.kill(int(found[2]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False

"""Why a version does not serve what it was asked to: a code for programs, a sentence for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReasonCode(StrEnum):
    """Stable words: programs may compare them. New ones may come, none changes its meaning."""

    NOT_DEPLOYED = "not_deployed"  # Serve has no application for the version
    NO_REPLICA = "no_replica"  # the application has no replica that answers
    REPLICA_FAILED = "replica_failed"  # a replica answers, and cannot embed
    SWAP_REFUSED = "swap_refused"  # the encoder could not load the artifact asked for and serves the one before it
    WAITING_FOR_REPLICA = (
        "waiting_for_replica"  # the configured weights are in force once a version has a ready replica
    )


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason; its text may change from release to release."""

    code: ReasonCode
    text: str

    def __str__(self) -> str:
        """The sentence for people."""
        return self.text

"""A change of a running service, as a command asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deployments.operator.operations import Operation


@dataclass(frozen=True)
class Options:
    """What every command that changes a service takes, beside where that service is."""

    dry_run: bool = False
    write: Path | None = None
    timeout_s: float = 120.0
    drain_s: float = 5.0
    verbose: bool = False  # show the whole diff


@dataclass(frozen=True)
class Change:
    """What one command wants to change."""

    command: str  # as it was typed, for other operators to read
    model: str
    operation: Operation
    hashes: Mapping[str, str | None] = field(default_factory=dict)  # of versions whose artifact changes
    routed: frozenset[str] = frozenset()  # versions that get traffic, and so must have a ready replica before
